from hypothesis import given
from hypothesis import strategies as st

from leadglass.index.uidcode import pack_uid, uid_hash, unpack_uid

uids = st.text("0123456789.", min_size=1, max_size=64)


@given(uids)
def test_packing_loses_nothing(uid: str) -> None:
    packed = pack_uid(uid)
    assert unpack_uid(packed) == uid
    assert len(packed) == (len(uid) + 1) // 2


@given(uids)
def test_a_hash_fits_six_bytes(uid: str) -> None:
    assert -(2**47) <= uid_hash(pack_uid(uid)) < 2**47


def test_the_documented_form() -> None:
    assert pack_uid("1.2.30") == bytes.fromhex("1a2a30")
    assert pack_uid("1.2") == bytes.fromhex("1a2f")
