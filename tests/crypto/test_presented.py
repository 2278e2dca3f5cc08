"""A certificate of somebody else's is read or refused by name, whatever is in it."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from leadglass.crypto.presented import read_presented
from leadglass.errors import FormatError

_NOW = datetime(2026, 5, 1, tzinfo=UTC)


def _certificate(*names: x509.GeneralName) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, _NOW, _NOW + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


DER = _certificate(x509.DNSName("pacs.lab.test"))
_ALTERNATIVE_NAME, _BASIC_CONSTRAINTS = bytes.fromhex("0603551d11"), bytes.fromhex("0603551d13")


def test_a_certificate_is_read() -> None:
    presented = read_presented(DER)
    assert (presented.names, presented.key, presented.bits) == (("pacs.lab.test",), "EC", 256)
    assert (presented.self_issued, presented.signature) == (True, "sha256")


@pytest.mark.parametrize("kind", [0x80, 0xA0, 0xA3, 0xA5, 0x87], ids=hex)
def test_names_that_cannot_be_read_cost_the_names_only(kind: int) -> None:
    """Other kinds of general names (RFC 5280 4.2.1.6), which what follows is none of."""
    at = DER.index(b"pacs.lab.test") - 2
    presented = read_presented(DER[:at] + bytes((kind,)) + DER[at + 1 :])
    assert "pacs.lab.test" not in presented.names
    assert presented.bits == 256


def test_an_extension_that_occurs_twice_costs_the_names_only() -> None:
    twice = read_presented(DER.replace(_BASIC_CONSTRAINTS, _ALTERNATIVE_NAME))
    assert (twice.names, twice.bits) == ((), 256)


@given(st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    der = bytearray(DER)
    for place, value in changes:
        der[place] = value
    try:
        assert read_presented(bytes(der)).bits >= 0
    except FormatError:
        return
