"""The certificates of an archive: a local authority, and server certificates with P-256 and RSA side by side."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.crypto.certificates import (
    Certificate,
    Issued,
    KeyKind,
    create_authority,
    host_names,
    issue_server,
    parse_certificate,
    parse_issued,
    require_current,
    server_names,
)
from leadglass.crypto.keys import KeyDirectory, KeyFile
from leadglass.crypto.tls import CertificateChain
from leadglass.errors import UsageError

#: Many scanners do RSA only (PS3.15 B.12 asks for both kinds of cipher suites).
SERVER_FILES: dict[KeyKind, tuple[KeyFile, KeyFile]] = {
    "ec": (KeyFile.SERVER_EC_CERTIFICATE, KeyFile.SERVER_EC_KEY),
    "rsa": (KeyFile.SERVER_RSA_CERTIFICATE, KeyFile.SERVER_RSA_KEY),
}
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
#: RFC 1123 2.1, with underscores as they are found in hospitals, and a wildcard for the first label.
_HOST_NAME = re.compile(r"(\*\.)?(?![-.])[\w-]{1,63}(\.[\w-]{1,63})*")


@dataclass(frozen=True, slots=True)
class Certificates:
    """The authority and what it issued to the server, with their keys."""

    authority: Issued
    servers: Mapping[KeyKind, Issued]


def issue(hostnames: tuple[str, ...]) -> Certificates:
    """Make authority and server certificates. Raises UsageError for a name that devices could not connect to."""
    names = _with_local(hostnames)
    made = create_authority("Leadglass local CA")
    return Certificates(made, {kind: issue_server(made, names, kind) for kind in SERVER_FILES})


def renew_servers(keys: KeyDirectory, hostnames: tuple[str, ...]) -> tuple[tuple[str, ...], datetime]:
    """New server certificates of the same authority, for the names given or else the present ones: their names and
    when they end. Raises UsageError as `issue`, and RefusedForSafety when a file is missing."""
    present = parse_certificate(keys.read(KeyFile.SERVER_EC_CERTIFICATE))
    issuer = authority(keys)
    require_current(issuer.certificate, "CA certificate", datetime.now(UTC))
    names = _with_local(hostnames or server_names(present))
    made = Certificates(issuer, {kind: issue_server(issuer, names, kind) for kind in SERVER_FILES})
    _write_servers(keys, made)
    return names, made.servers["ec"].certificate.not_after


def _with_local(hostnames: tuple[str, ...]) -> tuple[str, ...]:
    for name in hostnames:
        _check(name)
    return (*hostnames, *(name for name in LOCAL_NAMES if name not in hostnames))


def provision(keys: KeyDirectory, made: Certificates) -> None:
    keys.write(KeyFile.CA_KEY, made.authority.key)
    keys.write(KeyFile.CA_CERTIFICATE, made.authority.certificate.pem)
    _write_servers(keys, made)


def _write_servers(keys: KeyDirectory, made: Certificates) -> None:
    for kind, (certificate, key) in SERVER_FILES.items():
        keys.write(key, made.servers[kind].key)
        keys.write(certificate, made.servers[kind].certificate.pem)


def _check(name: str) -> None:
    """Names of other alphabets are letters too; a URL or a name with a port is the usual mistake."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not _HOST_NAME.fullmatch(name) or len(name) > 253:
            raise UsageError(
                f"{name!r} is not a host name.", "Give a DNS name or an IP address, without a port."
            ) from None


def authority(keys: KeyDirectory) -> Issued:
    """The authority with its private key: for enrolment only, `serve` never reads it."""
    return parse_issued(keys.read(KeyFile.CA_CERTIFICATE), keys.read(KeyFile.CA_KEY))


def authority_certificate(keys: KeyDirectory) -> Certificate:
    return parse_certificate(keys.read(KeyFile.CA_CERTIFICATE))


def first_name(keys: KeyDirectory) -> str:
    """The host name to show people: the first that the server's certificate has."""
    certificate = parse_certificate(keys.read(KeyFile.SERVER_EC_CERTIFICATE))
    return next(iter(host_names(certificate)), LOCAL_NAMES[0])


def server_chains(keys: KeyDirectory) -> tuple[CertificateChain, ...]:
    """The files that a TLS listener loads. Raises RefusedForSafety when one is missing or expired."""
    now = datetime.now(UTC)
    require_current(authority_certificate(keys), "CA certificate", now)
    for kind, (certificate, _) in SERVER_FILES.items():
        require_current(parse_certificate(keys.read(certificate)), f"server certificate ({kind})", now)
    return tuple(CertificateChain(keys.file(certificate), keys.file(key)) for certificate, key in SERVER_FILES.values())
