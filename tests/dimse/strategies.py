"""Hypothesis strategies for PDUs and messages, as a well-behaved peer makes them."""

from hypothesis import strategies as st

from leadglass.dimse.items import (
    AsyncWindow,
    CommonExtendedNegotiation,
    ContextResult,
    ExtendedNegotiation,
    ProposedContext,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from leadglass.dimse.message import (
    CCancelRq,
    CEchoRq,
    CEchoRsp,
    CFindRq,
    CFindRsp,
    CGetRq,
    CGetRsp,
    CMoveRq,
    CMoveRsp,
    CStoreRq,
    CStoreRsp,
    Message,
)
from leadglass.dimse.pdu import Abort, AssociateAc, AssociateRj, AssociateRq, Pdu, ReleaseRp, ReleaseRq

_PRINTABLE = [chr(code) for code in range(0x21, 0x7F) if chr(code) != "\\"]
u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
uids = st.lists(st.integers(0, 10**12), min_size=2, max_size=5).map(
    lambda parts: "1.2." + ".".join(map(str, parts))[:58].rstrip(".")
)
ae_titles = st.text(st.sampled_from(_PRINTABLE), min_size=1, max_size=16)
_odd = st.integers(0, 127).map(lambda number: 2 * number + 1)

proposed_contexts = st.builds(
    ProposedContext, _odd, uids, st.lists(uids, min_size=1, max_size=4, unique=True).map(tuple)
)
context_results = st.one_of(
    st.builds(ContextResult, _odd, st.just(0), uids),
    st.builds(ContextResult, _odd, st.integers(1, 4)),
)
_common = st.builds(CommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=3).map(tuple))
_identity = st.one_of(
    st.builds(UserIdentity, st.sampled_from([1, 3, 4, 5]), st.booleans(), st.binary(min_size=1, max_size=40)),
    st.builds(
        UserIdentity,
        st.just(2),
        st.booleans(),
        st.binary(min_size=1, max_size=40),
        st.binary(min_size=1, max_size=40),
    ),
)
_user_fields = {
    "max_length": st.integers(0, 2**32 - 1),
    "implementation_class_uid": uids,
    "implementation_version": st.text(st.sampled_from(_PRINTABLE), max_size=16),
    "async_window": st.none() | st.builds(AsyncWindow, u16, u16),
    "roles": st.lists(
        st.builds(RoleSelection, uids, st.booleans(), st.booleans()), max_size=3, unique_by=lambda role: role.sop_class
    ).map(tuple),
    "extended": st.lists(
        st.builds(ExtendedNegotiation, uids, st.binary(min_size=1, max_size=9)),
        max_size=3,
        unique_by=lambda item: item.sop_class,
    ).map(tuple),
}
rq_users = st.builds(
    UserInformation,
    **_user_fields,
    common_extended=st.lists(_common, max_size=3, unique_by=lambda item: item.sop_class).map(tuple),
    user_identity=st.none() | _identity,
)
ac_users = st.builds(
    UserInformation, **_user_fields, user_identity_response=st.none() | st.binary(min_size=1, max_size=40)
)
associate_rqs = st.builds(
    AssociateRq,
    ae_titles,
    ae_titles,
    st.lists(proposed_contexts, min_size=1, max_size=4, unique_by=lambda context: context.id).map(tuple),
    rq_users,
)
associate_acs = st.builds(
    AssociateAc,
    ae_titles,
    ae_titles,
    st.lists(context_results, min_size=1, max_size=4, unique_by=lambda result: result.id).map(tuple),
    ac_users,
)
associate_rjs = st.builds(AssociateRj, u8, u8, u8)
aborts = st.builds(Abort, u8, u8)
pdus: st.SearchStrategy[Pdu] = st.one_of(
    associate_rqs, associate_acs, associate_rjs, st.builds(ReleaseRq), st.builds(ReleaseRp), aborts
)

_comments = st.text(st.sampled_from([*_PRINTABLE, " "]), max_size=64).map(str.strip)
_maybe_u16 = st.none() | u16
_tags = st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple)
_request = {"message_id": u16, "sop_class": uids}
_priority = st.integers(0, 2)
_response = {"message_id": u16, "status": u16, "sop_class": st.just("") | uids, "error_comment": _comments}
_counts = {"remaining": _maybe_u16, "completed": _maybe_u16, "failed": _maybe_u16, "warning": _maybe_u16}

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(CEchoRq, **_request),
    st.builds(CEchoRsp, **_response),
    st.builds(
        CStoreRq,
        **_request,
        sop_instance=uids,
        priority=_priority,
        move_originator_ae=st.just("") | ae_titles,
        move_originator_message_id=_maybe_u16,
    ),
    st.builds(CStoreRsp, **_response, sop_instance=st.just("") | uids, offending_elements=_tags),
    st.builds(CFindRq, **_request, priority=_priority),
    st.builds(CFindRsp, **_response, offending_elements=_tags),
    st.builds(CGetRq, **_request, priority=_priority),
    st.builds(CGetRsp, **_response, **_counts, offending_elements=_tags),
    st.builds(CMoveRq, **_request, priority=_priority, move_destination=ae_titles),
    st.builds(CMoveRsp, **_response, **_counts, offending_elements=_tags),
    st.builds(CCancelRq, u16),
)
