"""Round trips of every PDU, what is tolerated, what is refused; pynetdicom's codec as a second opinion."""

import tracemalloc
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import pdu as peer

from leadglass.dimse.items import (
    ContextResult,
    ProposedContext,
    RoleSelection,
    UserIdentity,
    UserInformation,
    encode_item,
)
from leadglass.dimse.pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    PDU_HEADER,
    PDU_HEADER_BYTES,
    RELEASE_RP,
    RELEASE_RQ,
    Abort,
    AssociateAc,
    AssociateRj,
    AssociateRq,
    Pdu,
    ReleaseRp,
    ReleaseRq,
    decode,
    encode,
)
from leadglass.dimse.values import INVALID_PARAMETER, UNRECOGNISED_PDU
from leadglass.errors import ProtocolError, UsageError
from leadglass.model import AssociationLimits
from tests.dimse.strategies import associate_acs, associate_rqs, pdus

LIMITS = AssociationLimits()
CONTEXT = ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",))
RQ = AssociateRq("CALLED", "CALLING", (CONTEXT,), UserInformation(16384, "1.2.3", "NAME"))
# Where the fixed fields of an A-ASSOCIATE body end and its items begin (PS3.8 Table 9-11).
ITEMS = 68
_PEERS: dict[int, Any] = {
    ASSOCIATE_RQ: peer.A_ASSOCIATE_RQ,
    ASSOCIATE_AC: peer.A_ASSOCIATE_AC,
    ASSOCIATE_RJ: peer.A_ASSOCIATE_RJ,
    RELEASE_RQ: peer.A_RELEASE_RQ,
    RELEASE_RP: peer.A_RELEASE_RP,
    ABORT: peer.A_ABORT_RQ,
}


def read(encoded: bytes, limits: AssociationLimits = LIMITS) -> Pdu:
    pdu_type, length = PDU_HEADER.unpack(encoded[:PDU_HEADER_BYTES])
    body = memoryview(encoded)[PDU_HEADER_BYTES:]
    assert len(body) == length
    return decode(pdu_type, body, limits)


def body_of(pdu: Pdu) -> bytearray:
    return bytearray(encode(pdu)[PDU_HEADER_BYTES:])


@given(pdus)
def test_every_pdu_survives_a_round_trip(pdu: Pdu) -> None:
    assert read(encode(pdu)) == pdu


@given(pdus)
def test_pynetdicom_reads_and_writes_the_same_bytes(pdu: Pdu) -> None:
    if isinstance(pdu, AssociateAc):
        # pynetdicom cannot write a rejected context without a transfer syntax, which has no meaning there.
        filled = (replace(result, transfer_syntax=result.transfer_syntax or "1.2") for result in pdu.results)
        encoded = encode(replace(pdu, results=tuple(filled)))
    else:
        encoded = encode(pdu)
    other = _PEERS[encoded[0]]()
    other.decode(encoded)
    assert read(other.encode()) == pdu
    if not isinstance(pdu, AssociateRj | Abort):
        assert other.encode() == encoded


@given(associate_rqs)
def test_pynetdicom_understands_a_request(rq: AssociateRq) -> None:
    other = peer.A_ASSOCIATE_RQ()
    other.decode(encode(rq))
    assert (other.called_ae_title, other.calling_ae_title) == (rq.called_ae, rq.calling_ae)
    assert other.application_context_name == rq.application_context
    assert [(c.context_id, c.abstract_syntax, tuple(c.transfer_syntax)) for c in other.presentation_context] == [
        (c.id, c.abstract_syntax, c.transfer_syntaxes) for c in rq.contexts
    ]
    user = other.user_information
    assert user.maximum_length == rq.user.max_length
    assert user.implementation_class_uid == rq.user.implementation_class_uid
    assert (user.implementation_version_name or "") == rq.user.implementation_version
    assert {uid: (bool(role.scu), bool(role.scp)) for uid, role in user.role_selection.items()} == {
        role.sop_class: (role.scu, role.scp) for role in rq.user.roles
    }
    assert {item.uid: item.app_info for item in user.ext_neg} == {
        item.sop_class: item.data for item in rq.user.extended
    }
    identity = rq.user.user_identity
    if identity is None:
        assert user.user_identity is None
    else:
        assert user.user_identity.id_type == identity.type
        assert user.user_identity.primary == identity.primary
        assert (user.user_identity.secondary or b"") == identity.secondary


@given(associate_acs)
def test_pynetdicom_understands_an_acceptance(ac: AssociateAc) -> None:
    other = peer.A_ASSOCIATE_AC()
    other.decode(encode(ac))
    assert [(c.context_id, c.result) for c in other.presentation_context] == [(r.id, r.result) for r in ac.results]
    assert [str(c.transfer_syntax) for c in other.presentation_context if c.result == 0] == [
        result.transfer_syntax for result in ac.results if result.result == 0
    ]


@pytest.mark.parametrize(
    ("pdu", "encoded"),
    [
        (AssociateRj(1, 2, 3), "03 00 00000004 00 01 02 03"),
        (ReleaseRq(), "05 00 00000004 00000000"),
        (ReleaseRp(), "06 00 00000004 00000000"),
        (Abort(2, 6), "07 00 00000004 0000 02 06"),
    ],
)
def test_short_pdus_are_those_of_the_standard(pdu: Pdu, encoded: str) -> None:
    assert encode(pdu) == bytes.fromhex(encoded)


@given(st.integers(0, 255), st.binary(max_size=400))
def test_arbitrary_bodies_raise_nothing_but_protocol_error(pdu_type: int, body: bytes) -> None:
    with suppress(ProtocolError):
        decode(pdu_type, memoryview(body), LIMITS)


@given(pdus, st.data())
def test_damaged_pdus_raise_nothing_but_protocol_error(pdu: Pdu, data: st.DataObject) -> None:
    body = body_of(pdu)
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    with suppress(ProtocolError):
        decode(encode(pdu)[0], memoryview(body)[:cut], LIMITS)


class TestTolerance:
    """What real peers do."""

    @pytest.mark.parametrize("raw", [b"CALLED          ", b"  CALLED        ", b"CALLED\0\0\0\0\0\0\0\0\0\0"])
    def test_titles_padded_in_any_way(self, raw: bytes) -> None:
        body = body_of(RQ)
        body[4:20] = raw
        assert decode(ASSOCIATE_RQ, memoryview(body), LIMITS) == RQ

    @pytest.mark.parametrize("padding", [b"\0", b" "])
    def test_padded_uids(self, padding: bytes) -> None:
        context = bytes((1, 0, 0, 0))
        context += encode_item(0x30, b"1.2.840.10008.1.1" + padding)
        context += encode_item(0x40, b"1.2.840.10008.1.2" + padding)
        body = body_of(RQ)[:ITEMS] + encode_item(0x10, b"1.2.840.10008.3.1.1.1" + padding)
        body += encode_item(0x20, context)
        body += encode_item(0x50, bytes.fromhex("51000004 00004000") + encode_item(0x52, b"1.2.3" + padding))
        assert decode(ASSOCIATE_RQ, memoryview(body), LIMITS) == replace(
            RQ, user=UserInformation(16384, "1.2.3"), application_context="1.2.840.10008.3.1.1.1"
        )

    def test_unknown_items_and_user_information(self) -> None:
        body = body_of(replace(RQ, user=UserInformation(0)))
        unknown = encode_item(0x77, b"what a later standard may say")
        user = body.index(bytes.fromhex("50000008"))
        body = body[:user] + unknown + encode_item(0x50, bytes(body[user + 4 :]) + unknown)
        assert decode(ASSOCIATE_RQ, memoryview(body), LIMITS) == replace(RQ, user=UserInformation(0))

    def test_user_information_without_maximum_length_or_names(self) -> None:
        body = body_of(RQ)
        user = body.index(bytes.fromhex("51000004")) - 4
        body = body[:user] + encode_item(0x50, b"")
        assert decode(ASSOCIATE_RQ, memoryview(body), LIMITS) == replace(RQ, user=UserInformation(0))

    def test_version_names_out_of_bounds_are_cut_and_marked(self) -> None:
        body = body_of(RQ)
        user = body.index(bytes.fromhex("51000004")) - 4
        body = body[:user] + encode_item(0x50, encode_item(0x55, "Ünicode and far too long".encode()))
        decoded = decode(ASSOCIATE_RQ, memoryview(body), LIMITS)
        assert isinstance(decoded, AssociateRq)
        assert decoded.user.implementation_version == "??nicode and far"

    def test_rejected_results_without_a_transfer_syntax(self) -> None:
        ac = AssociateAc("CALLED", "CALLING", (ContextResult(1, 3),), RQ.user)
        body = body_of(ac)
        result = body.index(bytes.fromhex("21000008"))
        body = body[:result] + encode_item(0x21, bytes((1, 0, 3, 0))) + body[result + 12 :]
        assert decode(ASSOCIATE_AC, memoryview(body), LIMITS) == ac

    def test_titles_of_an_acceptance_are_not_tested(self) -> None:
        body = body_of(AssociateAc("CALLED", "CALLING", (ContextResult(1, 3),), RQ.user))
        body[4:36] = bytes(32)
        decoded = decode(ASSOCIATE_AC, memoryview(body), LIMITS)
        assert isinstance(decoded, AssociateAc)
        assert (decoded.called_ae, decoded.calling_ae) == ("", "")
        assert read(encode(decoded)) == decoded


class TestBounds:
    def refused(self, body: bytes | bytearray, limits: AssociationLimits = LIMITS, pdu_type: int = ASSOCIATE_RQ) -> str:
        with pytest.raises(ProtocolError) as caught:
            decode(pdu_type, memoryview(body), limits)
        return str(caught.value)

    def test_each_limit_holds(self) -> None:
        many = replace(RQ, contexts=tuple(replace(CONTEXT, id=2 * n + 1) for n in range(128)))
        assert read(encode(many)) == many
        self.refused(body_of(many), AssociationLimits(presentation_contexts=127))
        self.refused(body_of(many), AssociationLimits(associate_pdu=1000))
        syntaxes = replace(CONTEXT, transfer_syntaxes=tuple(f"1.2.{n}" for n in range(65)))
        self.refused(body_of(replace(RQ, contexts=(syntaxes,))))
        identity = UserIdentity(4, False, bytes(20_000))
        self.refused(body_of(replace(RQ, user=replace(RQ.user, user_identity=identity))))

    def test_user_information_names_no_more_sop_classes_than_contexts(self) -> None:
        roles = tuple(RoleSelection(f"1.2.{number}", True, True) for number in range(129))
        assert read(encode(replace(RQ, user=replace(RQ.user, roles=roles[:128]))))
        self.refused(body_of(replace(RQ, user=replace(RQ.user, roles=roles))))

    def test_the_worst_request_costs_little_memory(self) -> None:
        syntaxes = tuple(str(number % 10) for number in range(64))
        worst = replace(RQ, contexts=tuple(ProposedContext(2 * n + 1, "1", syntaxes) for n in range(128)))
        body = memoryview(body_of(worst))
        assert len(body) > LIMITS.associate_pdu // 2
        tracemalloc.start()
        decode(ASSOCIATE_RQ, body, LIMITS)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1 << 20

    def test_contexts_are_odd_unique_and_present(self) -> None:
        self.refused(body_of(replace(RQ, contexts=(replace(CONTEXT, id=2),))))
        self.refused(body_of(replace(RQ, contexts=(CONTEXT, CONTEXT))))
        self.refused(body_of(replace(RQ, contexts=())))
        self.refused(body_of(replace(RQ, contexts=(replace(CONTEXT, transfer_syntaxes=()),))))

    def test_fixed_items_stand_once(self) -> None:
        body = body_of(RQ)
        self.refused(body[:ITEMS])
        self.refused(body + encode_item(0x10, b"1.2"))

    @pytest.mark.parametrize("title", [b" " * 16, b"BACK\\SLASH      ", b"CONTROL\n        ", b"UMLAUT\xc4         "])
    def test_titles_that_are_none(self, title: bytes) -> None:
        body = body_of(RQ)
        body[20:36] = title
        self.refused(body)

    @pytest.mark.parametrize("uid", [b"", b"1..2", b"1.2.", b".1", b"1.a", b"1" * 65, b"1.2 .3"])
    def test_uids_that_are_none(self, uid: bytes) -> None:
        body = body_of(RQ)[:ITEMS] + encode_item(0x10, uid) + body_of(RQ)[ITEMS + 25 :]
        self.refused(body)

    @pytest.mark.parametrize("pdu_type", [ASSOCIATE_RJ, RELEASE_RQ, RELEASE_RP, ABORT])
    def test_short_pdus_have_four_bytes(self, pdu_type: int) -> None:
        self.refused(bytes(3), pdu_type=pdu_type)
        self.refused(bytes(5), pdu_type=pdu_type)

    @pytest.mark.parametrize("pdu_type", [0x00, 0x04, 0x08, 0xFF])
    def test_other_types(self, pdu_type: int) -> None:
        with pytest.raises(ProtocolError) as caught:
            decode(pdu_type, memoryview(bytes(4)), LIMITS)
        assert caught.value.reason == UNRECOGNISED_PDU

    def test_results_that_do_not_exist(self) -> None:
        body = body_of(AssociateAc("CALLED", "CALLING", (ContextResult(1, 5),), RQ.user))
        with pytest.raises(ProtocolError) as caught:
            decode(ASSOCIATE_AC, memoryview(body), LIMITS)
        assert caught.value.reason == INVALID_PARAMETER


@pytest.mark.parametrize(
    "pdu",
    [
        replace(RQ, called_ae="SEVENTEEN LETTERS"),
        replace(RQ, calling_ae=" LEADING"),
        replace(RQ, called_ae=""),
        replace(RQ, application_context="not a uid"),
        replace(RQ, user=UserInformation(1, "1.2", "seventeen letters")),
        replace(RQ, user=UserInformation(1, user_identity=UserIdentity(4, False, bytes(65536)))),
        replace(RQ, user=UserInformation(1, user_identity=UserIdentity(4, False, bytes(65535)))),
    ],
)
def test_encoding_refuses_what_no_peer_could_read(pdu: Pdu) -> None:
    with pytest.raises(UsageError):
        encode(pdu)


def test_identities_are_never_shown() -> None:
    user = UserInformation(
        1,
        user_identity=UserIdentity(2, True, b"planted-name", b"planted-pass"),
        user_identity_response=b"planted-token",
    )
    rq = replace(RQ, user=user)
    assert "planted" not in repr(rq)
    body = body_of(rq)
    with pytest.raises(ProtocolError) as caught:
        decode(ASSOCIATE_RQ, memoryview(body)[:-3], LIMITS)
    assert "planted" not in str(caught.value)
