"""Messages through the state machine."""

from dataclasses import replace
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dimse.association import Association
from leadglass.dimse.events import (
    CommandReceived,
    DataReceived,
    Event,
)
from leadglass.dimse.message import CFindRq, CStoreRq, CStoreRsp, Message, encode_command
from leadglass.dimse.pdu import (
    Abort,
    decode,
)
from leadglass.dimse.values import INVALID_PARAMETER, UNEXPECTED_PARAMETER
from leadglass.errors import ProtocolError, UsageError
from leadglass.model import AssociationLimits
from tests.dimse.associations import CT, ECHO, FIND, LIMITS, RESULTS, RQ, USER, established, p_data, value


class TestMessages:
    @given(st.lists(st.binary(max_size=700), max_size=6), st.integers(128, 700), st.integers(1, 300))
    def test_any_chunks_arrive_as_sent(self, chunks: list[bytes], max_length: int, piece: int) -> None:
        requestor, acceptor = Association.requestor(LIMITS), Association.acceptor(AssociationLimits(max_pdu=max_length))
        acceptor.receive(requestor.request(RQ))
        requestor.receive(acceptor.accept(RESULTS, replace(USER, max_length=max_length)))
        message = CStoreRq(1, CT, "1.2.3." + "4" * 50, move_originator_ae="SOMEBODY")
        pdus = [requestor.command(1, message, True), *(bytes(pdu) for pdu in requestor.data(1, chunks))]
        assert all(len(pdu) == max_length // 2 * 2 + 6 for pdu in pdus[1:-1])
        stream = b"".join(pdus)
        events: list[Event] = []
        for start in range(0, len(stream), piece):
            events += acceptor.receive(stream[start : start + piece])
        command, *data = events
        assert command == CommandReceived(1, message, True)
        fragments = [event for event in data if isinstance(event, DataReceived)]
        assert b"".join(fragment.data for fragment in fragments) == b"".join(chunks)
        assert [fragment.last for fragment in fragments] == [False] * (len(fragments) - 1) + [True]

    def test_a_reply_is_one_buffer(self) -> None:
        requestor, acceptor = established()
        message = CFindRq(1, FIND)
        assert requestor.reply(3, message, b"identifier") == requestor.command(3, message, True) + b"".join(
            requestor.data(3, [b"identifier"])
        )
        first, second = acceptor.receive(requestor.reply(3, message, b"identifier"))
        assert first == CommandReceived(3, message, True)
        assert isinstance(second, DataReceived)
        assert (bytes(second.data), second.last) == (b"identifier", True)

    def test_a_large_reply_keeps_to_the_peers_length(self) -> None:
        requestor, acceptor = established()
        stream = requestor.reply(3, CFindRq(1, FIND), bytes(200_000))
        data = [event for event in acceptor.receive(stream) if isinstance(event, DataReceived)]
        assert [len(event.data) for event in data] == [131_060, 68_940]

    def test_fragments_are_views_of_the_transports_buffer(self) -> None:
        requestor, acceptor = established()
        acceptor.receive(requestor.command(1, CStoreRq(1, CT, "1.2"), True))
        pdu = b"".join(requestor.data(1, [b"pixels"]))
        buffer = bytearray(pdu[6:])
        assert acceptor.begin_pdu(pdu[:6]) == len(buffer)
        (event,) = acceptor.finish_pdu(memoryview(buffer))
        assert isinstance(event, DataReceived)
        assert event.data.obj is buffer

    def test_a_command_and_its_data_may_share_a_pdu(self) -> None:
        _, acceptor = established()
        command = encode_command(CStoreRq(1, CT, "1.2"), True)
        pdu = p_data(value(1, 1, command[:20]), value(1, 3, command[20:]), value(1, 0, b"ab"), value(1, 2, b""))
        kinds = [type(event) for event in acceptor.receive(pdu)]
        assert kinds == [CommandReceived, DataReceived, DataReceived]

    @pytest.mark.parametrize(
        "values",
        [
            [],
            [pack(">IBB", 1, 1, 3)],
            [pack(">IBB", 3, 1, 3)],
            [pack(">IB", 3, 1)],
            [value(1, 0, b"data before a command")],
            [value(5, 3, encode_command(ECHO, False))],
            [value(2, 3, encode_command(ECHO, False))],
            [value(1, 1, b"half"), value(3, 1, b"a message")],
            [value(1, 1, b"half"), value(1, 2, b"data")],
            [value(1, 3, encode_command(CStoreRq(1, CT, "1.2"), True)), value(3, 2, b"other context")],
            [value(1, 3, encode_command(CStoreRq(1, CT, "1.2"), True)), value(1, 3, encode_command(ECHO, False))],
            [value(1, 3, encode_command(ECHO, False)), value(1, 2, b"no data set was announced")],
            [value(1, 1, bytes(16_385))],
            [value(1, 0, b"")] * 257,
        ],
    )
    def test_values_out_of_order_are_refused(self, values: list[bytes]) -> None:
        _, acceptor = established()
        with pytest.raises(ProtocolError) as caught:
            acceptor.receive(p_data(*values))
        assert caught.value.reason in (INVALID_PARAMETER, UNEXPECTED_PARAMETER)
        assert decode(7, memoryview(acceptor.abort_for(caught.value))[6:], LIMITS) == Abort(2, caught.value.reason)

    @pytest.mark.parametrize(
        ("message", "bounded"), [(CFindRq(1, FIND), True), (CStoreRsp(1, 0), True), (CStoreRq(1, CT, "1.2"), False)]
    )
    def test_identifiers_are_bounded_and_stored_data_sets_are_not(self, message: Message, bounded: bool) -> None:
        requestor, acceptor = established()
        acceptor.receive(requestor.command(1, message, True))
        stream = b"".join(map(bytes, requestor.data(1, [bytes(LIMITS.identifier_bytes + 2)])))
        if bounded:
            with pytest.raises(ProtocolError):
                acceptor.receive(stream)
        else:
            acceptor.receive(stream)

    def test_sending_on_a_context_that_was_not_accepted(self) -> None:
        requestor, _ = established()
        with pytest.raises(UsageError):
            requestor.command(5, ECHO, False)
