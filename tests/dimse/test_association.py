"""The state machine against PS3.8 Table 9-10 (pynetdicom's copy of it is the oracle), and messages through it."""

import random
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.fsm import TRANSITION_TABLE

from leadglass.dimse import pdata
from leadglass.dimse.association import AcceptedContext, Association, State
from leadglass.dimse.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    CommandReceived,
    Event,
    Released,
    ReleaseRequested,
)
from leadglass.dimse.message import CStoreRq, encode_command
from leadglass.dimse.negotiation import choose
from leadglass.dimse.pdu import (
    P_DATA_TF,
    PDU_HEADER,
    PDU_HEADER_BYTES,
    Abort,
    AssociateRj,
    Pdu,
    ReleaseRp,
    ReleaseRq,
    encode,
)
from leadglass.dimse.values import INVALID_PARAMETER, UNEXPECTED_PDU, UNRECOGNISED_PDU
from leadglass.errors import ProtocolError, UsageError
from leadglass.model import AssociationLimits
from tests.dimse.associations import AC, CT, ECHO, LIMITS, RESULTS, RQ, SYNTAX, USER, established, p_data, value


def in_state(state: State) -> Association:
    """An association brought there by the events of Table 9-10."""
    requestor = Association.requestor(LIMITS)
    acceptor = Association.acceptor(LIMITS)
    if state in (State.STA2, State.STA4):
        return acceptor if state is State.STA2 else requestor
    acceptor.receive(requestor.request(RQ))
    if state in (State.STA3, State.STA5):
        return acceptor if state is State.STA3 else requestor
    requestor.receive(acceptor.accept(RESULTS, USER))
    steps: dict[State, tuple[Association, list[Callable[[Association], object]]]] = {
        State.STA6: (requestor, []),
        State.STA7: (requestor, [Association.release]),
        State.STA8: (acceptor, [_take(ReleaseRq())]),
        State.STA9: (requestor, [Association.release, _take(ReleaseRq())]),
        State.STA10: (acceptor, [Association.release, _take(ReleaseRq())]),
        State.STA11: (requestor, [Association.release, _take(ReleaseRq()), Association.release_reply]),
        State.STA12: (acceptor, [Association.release, _take(ReleaseRq()), _take(ReleaseRp())]),
        State.STA13: (acceptor, [_take(ReleaseRq()), Association.release_reply]),
        State.STA1: (requestor, [_take(Abort(0, 0))]),
    }
    association, todo = steps[state]
    for step in todo:
        step(association)
    return association


def _take(pdu: Pdu) -> Callable[[Association], object]:
    return lambda association: association.receive(encode(pdu))


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached(state: State) -> None:
    assert in_state(state).state is state


RECEIVED = {
    "Evt3": encode(AC),
    "Evt4": encode(AssociateRj(1, 1, 1)),
    "Evt6": encode(RQ),
    "Evt10": p_data(value(1, 3, encode_command(ECHO, False))),
    "Evt12": encode(ReleaseRq()),
    "Evt13": encode(ReleaseRp()),
    "Evt16": encode(Abort(2, 6)),
    "Evt19": bytes.fromhex("ff0000000000"),
}
# What each action of PS3.8 9.2.2 tells the user, and the next state where it is the same for all.
ACTIONS: dict[str, tuple[list[type[Event]], State | None]] = {
    "AE-3": ([AssociationAccepted], State.STA6),
    "AE-4": ([AssociationRejected], State.STA1),
    "AE-6": ([AssociationRequested], State.STA3),
    "DT-2": ([CommandReceived], State.STA6),
    "AR-2": ([ReleaseRequested], State.STA8),
    "AR-3": ([Released], State.STA1),
    "AR-6": ([CommandReceived], State.STA7),
    "AR-8": ([ReleaseRequested], State.STA9),
    "AR-10": ([Released], State.STA12),
    "AA-2": ([Aborted], State.STA1),
    "AA-3": ([Aborted], State.STA1),
    "AA-6": ([], State.STA13),
}
CELLS = [
    (event, State[state.upper()], action) for (event, state), action in TRANSITION_TABLE.items() if event in RECEIVED
]


@pytest.mark.parametrize(("event", "state", "action"), CELLS)
def test_received_pdus_do_what_table_9_10_says(event: str, state: State, action: str) -> None:
    association = in_state(state)
    if action in ACTIONS:
        events, following = ACTIONS[action]
        assert [type(happened) for happened in association.receive(RECEIVED[event])] == events
        assert association.state is following
        return
    with pytest.raises(ProtocolError) as caught:
        association.receive(RECEIVED[event])
    assert caught.value.reason == (UNRECOGNISED_PDU if event == "Evt19" else UNEXPECTED_PDU)
    expected = {"AA-1": Abort(0, 0), "AA-7": Abort(2, caught.value.reason), "AA-8": Abort(2, caught.value.reason)}
    assert association.abort_for(caught.value) == encode(expected[action])
    assert association.state is State.STA13


def test_every_cell_for_a_received_pdu_is_tested() -> None:
    assert len(CELLS) == len(RECEIVED) * 11  # Sta2, Sta3, Sta5 to Sta13


def test_a_collision_at_the_acceptor_leads_to_sta10() -> None:
    _, acceptor = established()
    acceptor.release()
    assert acceptor.receive(encode(ReleaseRq())) == [ReleaseRequested()]
    assert acceptor.state is State.STA10


def test_a_release_collision_ends_in_order() -> None:
    requestor, acceptor = established()
    to_acceptor, to_requestor = requestor.release(), acceptor.release()
    assert requestor.receive(to_requestor) == [ReleaseRequested()]
    assert acceptor.receive(to_acceptor) == [ReleaseRequested()]
    with pytest.raises(UsageError):
        acceptor.release_reply()
    assert acceptor.receive(requestor.release_reply()) == [Released()]
    assert requestor.receive(acceptor.release_reply()) == [Released()]
    assert (requestor.state, acceptor.state) == (State.STA1, State.STA13)


@pytest.mark.parametrize("state", State)
def test_a_closed_connection_tells_whoever_had_an_association(state: State) -> None:
    association = in_state(state)
    events = association.connection_closed()
    silent = state in (State.STA1, State.STA2, State.STA13)
    assert list(events) == ([] if silent else [Aborted(2, 0)])
    assert association.state is State.STA1


SENDING: dict[str, tuple[Callable[[Association], object], set[State]]] = {
    "request": (lambda a: a.request(RQ), {State.STA4}),
    "accept": (lambda a: a.accept(RESULTS, USER), {State.STA3}),
    "reject": (lambda a: a.reject(1, 1, 7), {State.STA3}),
    "command": (lambda a: a.command(1, ECHO, False), {State.STA6, State.STA8}),
    "data": (lambda a: a.data(1, [b""]), {State.STA6, State.STA8}),
    "release": (lambda a: a.release(), {State.STA6}),
    "release_reply": (lambda a: a.release_reply(), {State.STA8, State.STA9, State.STA12}),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", SENDING)
def test_sending_needs_a_state_that_allows_it(name: str, state: State) -> None:
    send, allowed = SENDING[name]
    association = in_state(state)
    if state in allowed:
        send(association)
    else:
        with pytest.raises(UsageError):
            send(association)
        assert association.state is state


def test_only_artim_states_are_timed() -> None:
    assert [state for state in State if in_state(state).artim_runs] == [State.STA2, State.STA13]


def test_an_association_that_is_over_has_nothing_to_abort() -> None:
    assert in_state(State.STA1).abort() == in_state(State.STA4).abort() == b""
    with pytest.raises(ProtocolError):
        in_state(State.STA1).receive(encode(ReleaseRq()))


def test_negotiation_fixes_contexts_and_length() -> None:
    requestor, acceptor = Association.requestor(LIMITS), Association.acceptor(AssociationLimits(max_pdu=50_000))
    (event,) = acceptor.receive(requestor.request(RQ))
    assert event == AssociationRequested(RQ)
    results = choose(RQ.contexts, lambda uid: [SYNTAX] if uid == CT else [])
    (answer,) = requestor.receive(acceptor.accept(results, replace(USER, max_length=50_000)))
    assert isinstance(answer, AssociationAccepted)
    assert answer.ac.called_ae == "CALLED"
    assert requestor.contexts == acceptor.contexts == {1: AcceptedContext(CT, SYNTAX)}
    assert (requestor.peer_max_length, acceptor.peer_max_length) == (50_000, 131_066)


def test_rejection() -> None:
    requestor, acceptor = Association.requestor(LIMITS), in_state(State.STA3)
    requestor.request(RQ)
    assert requestor.receive(acceptor.reject(1, 1, 7)) == [AssociationRejected(AssociateRj(1, 1, 7))]
    assert acceptor.state is State.STA13


@pytest.mark.parametrize("declared", [0, 2**32 - 1])
def test_an_unlimited_peer_still_gets_bounded_pdus(declared: int) -> None:
    acceptor = Association.acceptor(LIMITS)
    acceptor.receive(encode(replace(RQ, user=replace(USER, max_length=declared))))
    assert acceptor.peer_max_length == 131_066


def test_answers_that_no_request_asked_for_are_refused() -> None:
    for results in (
        (replace(RESULTS[0], id=5),),
        (replace(RESULTS[0], transfer_syntax="1.2.840.10008.1.2.2"),),
    ):
        requestor = in_state(State.STA5)
        with pytest.raises(ProtocolError) as caught:
            requestor.receive(encode(replace(AC, results=results)))
        assert requestor.abort_for(caught.value) == encode(Abort(2, INVALID_PARAMETER))


def test_lengths_too_small_to_use_and_lengths_not_kept_are_refused() -> None:
    with pytest.raises(ProtocolError):
        Association.acceptor(LIMITS).receive(encode(replace(RQ, user=replace(USER, max_length=8))))
    with pytest.raises(UsageError):
        Association.requestor(LIMITS).request(replace(RQ, user=replace(USER, max_length=0)))


@pytest.mark.parametrize(
    ("header", "state"),
    [
        ("01 00 00010001", State.STA2),
        ("04 00 00020001", State.STA6),
        ("05 00 00000005", State.STA6),
        ("07 00 ffffffff", State.STA2),
        ("04 00 ffffffff", State.STA13),
    ],
)
def test_lengths_are_bounded_before_anything_is_read(header: str, state: State) -> None:
    with pytest.raises(ProtocolError) as caught:
        in_state(state).begin_pdu(bytes.fromhex(header))
    assert caught.value.reason == INVALID_PARAMETER


@given(st.sampled_from(sorted(State, key=lambda state: state.name)), st.lists(st.binary(max_size=80), max_size=4))
def test_arbitrary_bytes_raise_nothing_but_protocol_error(state: State, pieces: list[bytes]) -> None:
    association = in_state(state)
    try:
        for piece in pieces:
            association.receive(piece)
    except ProtocolError as error:
        association.abort_for(error)


def test_full_pdus_share_one_buffer() -> None:
    pdus = pdata.fragments(1, 0, [bytes(400_000)], 128)
    assert next(pdus) is next(pdus)


@given(
    st.lists(st.integers(0, 100_000), max_size=6),
    st.sampled_from((128, 129, 16_384, 65_530, 65_536, 131_066)),
)
def test_chunks_of_any_size_make_full_pdus(sizes: list[int], largest: int) -> None:
    data = random.Random(sum(sizes)).randbytes(sum(sizes))
    ends = list(accumulate(sizes, initial=0))
    chunks = [data[start:end] for start, end in pairwise(ends)]
    stream = memoryview(b"".join(bytes(each) for each in pdata.fragments(1, 0, chunks, largest)))
    values = []
    while stream:
        kind, length = PDU_HEADER.unpack(stream[:PDU_HEADER_BYTES])
        assert kind == P_DATA_TF
        assert length <= largest
        values += pdata.split(stream[PDU_HEADER_BYTES : PDU_HEADER_BYTES + length])
        stream = stream[PDU_HEADER_BYTES + length :]
    assert b"".join(part for _, _, part in values) == data
    assert [control for _, control, _ in values] == [0] * (len(values) - 1) + [pdata.LAST]
    assert {len(part) for _, _, part in values[:-1]} <= {(largest - 6) & ~1}


def test_the_worst_p_data_pdu_costs_little_memory() -> None:
    _, acceptor = established()
    acceptor.receive(p_data(value(1, 3, encode_command(CStoreRq(1, CT, "1.2"), True))))
    body = memoryview(value(1, 0, bytes(505)) * 256)
    acceptor.begin_pdu(PDU_HEADER.pack(P_DATA_TF, len(body)))
    tracemalloc.start()
    events = acceptor.finish_pdu(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(events) == 256
    assert peak < 1 << 18
