"""UIDs of instances at half their size: four bits a character, since PS3.5 9.1 allows only eleven of them."""

import hashlib


def pack_uid(uid: str) -> bytes:
    """The packed form. Raises ValueError when `uid` holds anything but digits and dots."""
    digits = uid.replace(".", "a")
    return bytes.fromhex(digits + "f" if len(digits) & 1 else digits)


def unpack_uid(packed: bytes) -> str:
    return packed.hex().rstrip("f").replace("a", ".")


def uid_hash(packed: bytes) -> int:
    """48 bits, signed: what SQLite keeps in six bytes. Finds candidates; the UID itself decides."""
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest()[:6], "big", signed=True)
