"""TLS as a stranger meets it: which versions and ciphers, whose certificate, and whether ours is asked for."""

import os
import ssl
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Self

from leadglass.assess.observation import Endpoint, Exchange, Observation, ObservationKind
from leadglass.assess.probes.dimse_line import HungUp, Silence, handshake
from leadglass.assess.reach import Reach
from leadglass.crypto.presented import Presented, read_presented
from leadglass.crypto.stranger import stranger_pem
from leadglass.errors import FormatError, NotAvailable

_VERSIONS: Final = (
    (ssl.TLSVersion.TLSv1, "TLSv1"),
    (ssl.TLSVersion.TLSv1_1, "TLSv1.1"),
    (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
    (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
)
#: RFC 8996.
_WEAK_VERSIONS: Final = frozenset({"TLSv1", "TLSv1.1"})
#: RFC 9325 4.1, as far as our OpenSSL can still ask for them.
_WEAK_CIPHERS: Final = ("eNULL", "aNULL", "3DES", "RC4", "DES")
#: In which an alert that a server has sent arrives.
_ALERT_SECONDS: Final = 1.0
#: Alerts by which a server says that it is the certificate it does not like (RFC 8446 6.2): all else went well.
_CERTIFICATE_ALERTS: Final = (
    "UNKNOWN_CA",
    "BAD_CERTIFICATE",
    "CERTIFICATE_REQUIRED",
    "CERTIFICATE_UNKNOWN",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "ACCESS_DENIED",
    "DECRYPT_ERROR",
)


@dataclass(frozen=True, slots=True)
class StrangerTls:
    """Contexts for the whole run: making them takes longer than a handshake. Nothing is verified, everything that our
    OpenSSL can do is offered: whom we talk to is known by address, and what it accepts is what we want to know."""

    anonymous: ssl.SSLContext
    stranger: ssl.SSLContext
    versions: tuple[tuple[str, ssl.SSLContext], ...]
    weak_ciphers: tuple[tuple[str, ssl.SSLContext], ...]
    verifying: ssl.SSLContext

    @classmethod
    def make(cls) -> Self:
        """With a key and certificate that nobody has ever seen."""
        anonymous, stranger = _open_context(), _open_context()
        certificate = stranger_pem()
        _load(stranger, certificate)
        versions = []
        for version, name in _VERSIONS:
            context = _open_context()
            with warnings.catch_warnings():
                # Deprecated, and asked for just because it is: whoever still answers to it has a finding.
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = context.maximum_version = version
            _load(context, certificate)
            versions.append((name, context))
        verifying = ssl.create_default_context()
        verifying.check_hostname = False
        _load(verifying, certificate)
        return cls(anonymous, stranger, tuple(versions), tuple(_weak_contexts(certificate)), verifying)


def _open_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _weak_contexts(certificate: bytes) -> Iterator[tuple[str, ssl.SSLContext]]:
    for cipher in _WEAK_CIPHERS:
        context = _open_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.set_ciphers(f"{cipher}:@SECLEVEL=0")
        except ssl.SSLError:
            continue  # our OpenSSL was built without it
        if any(each["protocol"] != "TLSv1.3" for each in context.get_ciphers()):
            _load(context, certificate)
            yield cipher, context


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    # The ssl module takes keys from files only: this one has no name and is in memory.
    descriptor = os.memfd_create("stranger", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def speaks_tls(reach: Reach, endpoint: Endpoint, tls: StrangerTls, patience: float) -> bool:
    """Whether a TLS handshake comes about, or fails as only TLS does."""
    return _outcome(reach, endpoint, tls.stranger, patience) in ("done", "certificate", "alert")


def turns_away(reach: Reach, endpoint: Endpoint, context: ssl.SSLContext, patience: float) -> bool:
    """Whether the server ends the connection for want of a certificate that it likes. In TLS 1.3 it says so only after
    the handshake, and what we had sent by then would keep us from hearing it. Raises NotAvailable if nobody answers."""
    connection = reach.connect(endpoint, patience)
    try:
        with handshake(reach, connection, context) as secured:
            secured.settimeout(_ALERT_SECONDS)
            return not secured.recv(1)
    except TimeoutError:
        return False
    except HungUp as error:
        # TLS 1.2 servers say `handshake failure` when no certificate comes (RFC 5246 7.4.6).
        return any(alert in error.reason for alert in (*_CERTIFICATE_ALERTS, "HANDSHAKE_FAILURE"))
    except OSError:
        return True


def survey(
    reach: Reach, endpoint: Endpoint, tls: StrangerTls, patience: float, names: tuple[str, ...]
) -> tuple[Observation, ...]:
    """Versions, weak ciphers and the certificate. `names`: those by which the scope knows the address."""
    now = datetime.now(UTC)
    exchange = Exchange(now, "TLS handshakes, one for each version and weak cipher", b"", b"")
    offered = [name for name, context in tls.versions if _is_supported(reach, endpoint, context, patience)]
    weak = [name for name, context in tls.weak_ciphers if _is_supported(reach, endpoint, context, patience)]
    cipher, der = _shown(reach, endpoint, tls.stranger, patience)
    observations = [
        Observation(
            ObservationKind.TLS_VERSIONS,
            {
                "versions": tuple(offered),
                "weak_versions": tuple(name for name in offered if name in _WEAK_VERSIONS),
                "cipher": cipher,
                "weak_ciphers": tuple(weak),
            },
            (exchange,),
        )
    ]
    try:
        presented = read_presented(der) if der else None
    except FormatError:
        presented = None
    if presented is not None:
        trusted = _outcome(reach, endpoint, tls.verifying, patience) in ("done", "certificate")
        # Names in a certificate are the peer's words: evidence is which certificate it was, not what it says.
        digest = f"SHA-256 of the certificate {sha256(der).hexdigest()}".encode()
        shown = Exchange(now, "TLS handshake: the certificate that the server showed", b"", digest)
        facts = _certificate_facts(presented, trusted, (*names, endpoint.address), now)
        observations.append(Observation(ObservationKind.TLS_CERTIFICATE, facts, (shown,)))
    return tuple(observations)


def _certificate_facts(
    presented: Presented, trusted: bool, names: tuple[str, ...], now: datetime
) -> dict[str, str | int | bool | tuple[str, ...]]:
    return {
        "subject_is_issuer": presented.self_issued,
        "expired": not presented.not_before <= now <= presented.not_after,
        "days_left": (presented.not_after - now).days,
        "name_matches": any(name.lower() in map(str.lower, presented.names) for name in names),
        "trusted": trusted,
        "key": presented.key,
        "bits": presented.bits,
        "signature": presented.signature,
    }


def _is_supported(reach: Reach, endpoint: Endpoint, context: ssl.SSLContext, patience: float) -> bool:
    return _outcome(reach, endpoint, context, patience) in ("done", "certificate")


def _outcome(reach: Reach, endpoint: Endpoint, context: ssl.SSLContext, patience: float) -> str:
    """`done`, `certificate` (only ours is wrong), `alert`, `silent` or `other`."""
    connection = reach.connect(endpoint, patience)
    try:
        handshake(reach, connection, context).close()
    except Silence:
        return "silent"
    except HungUp as error:
        if any(alert in error.reason for alert in _CERTIFICATE_ALERTS):
            return "certificate"
        return "alert" if "ALERT" in error.reason else "other"
    return "done"


def _shown(reach: Reach, endpoint: Endpoint, context: ssl.SSLContext, patience: float) -> tuple[str, bytes]:
    """Cipher and certificate (DER). A server that hangs up on our certificate has shown its own before in TLS 1.3."""
    try:
        with handshake(reach, reach.connect(endpoint, patience), context) as connection:
            cipher = connection.cipher()
            return cipher[0] if cipher else "", connection.getpeercert(binary_form=True) or b""
    except NotAvailable:
        return "", b""
