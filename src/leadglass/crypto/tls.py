"""TLS after the Non-Downgrading BCP 195 profile (PS3.15 B.12, RFC 9325): mutual, 1.2 or 1.3, authenticated ciphers."""

import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leadglass.errors import RefusedForSafety

#: For TLS 1.2; those of 1.3 are OpenSSL's own. DHE is for modalities without elliptic curves.
_CIPHERS = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "DHE-RSA-AES128-GCM-SHA256",
        "DHE-RSA-AES256-GCM-SHA384",
    )
)
#: The group ffdhe3072 (RFC 7919 A.2), which the ssl module takes from a file only.
_DH_GROUP = Path(__file__).with_name("ffdhe3072.pem")


@dataclass(frozen=True, slots=True)
class CertificateChain:
    """Files in PEM: a certificate with what leads to its CA, and its private key."""

    certificate: Path
    key: Path


def server_context(chains: Sequence[CertificateChain], client_anchors: Iterable[bytes]) -> ssl.SSLContext:
    """A context that admits no client without a certificate that leads to one of `client_anchors` (DER).

    One chain for each kind of key: OpenSSL chooses by what the client can do. An anchor need not be a CA: a pinned
    device certificate admits itself. Whoever is admitted here is still unknown until the registry knows the key.
    RefusedForSafety if a chain cannot be used or no anchor is given.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.load_dh_params(str(_DH_GROUP))
    for chain in chains:
        _load_chain(context, chain)
    anchors = b"".join(client_anchors)
    if not chains or not anchors:
        raise RefusedForSafety("A TLS listener lacks a certificate or trust anchors.", "Run: leadglass init")
    context.load_verify_locations(cadata=anchors)
    context.verify_mode = ssl.CERT_REQUIRED
    # A pinned certificate is a leaf; without this flag only a self-signed root ends a chain.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    # No ticket outlives its connection. OpenSSL still lets TLS 1.2 resume a session while that lives, which skips the
    # look at the certificate's chain: whoever is let in is looked up by the key in it, each time.
    context.num_tickets = 0
    return context


def web_context(chains: Sequence[CertificateChain]) -> ssl.SSLContext:
    """A context for browsers and programs that show no certificate: whoever connects is a stranger until it signs in.

    RefusedForSafety if a chain cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    for chain in chains:
        _load_chain(context, chain)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(ca: Path, chain: CertificateChain) -> ssl.SSLContext:
    """A context of a device: it checks the server's name against `ca` (PEM) and shows its own certificate."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=ca)
    _load_chain(context, chain)
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _load_chain(context: ssl.SSLContext, chain: CertificateChain) -> None:
    try:
        context.load_cert_chain(chain.certificate, chain.key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "unreadable"
        raise RefusedForSafety(
            f"{chain.certificate} and its key cannot be used ({reason}).", "Restore both from one backup."
        ) from None
