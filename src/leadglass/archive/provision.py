"""The certificates of a new archive: a local authority, and server certificates with P-256 and RSA side by side."""

from datetime import UTC, datetime

from leadglass.crypto.certificates import (
    Certificate,
    Issued,
    KeyKind,
    create_authority,
    issue_server,
    parse_certificate,
    parse_issued,
    require_current,
)
from leadglass.crypto.keys import KeyDirectory, KeyFile
from leadglass.crypto.tls import CertificateChain

#: Many scanners do RSA only (PS3.15 B.12 asks for both kinds of cipher suites).
SERVER_FILES: dict[KeyKind, tuple[KeyFile, KeyFile]] = {
    "ec": (KeyFile.SERVER_EC_CERTIFICATE, KeyFile.SERVER_EC_KEY),
    "rsa": (KeyFile.SERVER_RSA_CERTIFICATE, KeyFile.SERVER_RSA_KEY),
}
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def provision(keys: KeyDirectory, hostnames: tuple[str, ...]) -> None:
    """Make authority and server certificates. Raises UsageError for a name that no certificate can carry."""
    names = (*hostnames, *(name for name in LOCAL_NAMES if name not in hostnames))
    made = create_authority("Leadglass local CA")
    servers = {kind: issue_server(made, names, kind) for kind in SERVER_FILES}
    keys.write(KeyFile.CA_KEY, made.key)
    keys.write(KeyFile.CA_CERTIFICATE, made.certificate.pem)
    for kind, (certificate, key) in SERVER_FILES.items():
        keys.write(key, servers[kind].key)
        keys.write(certificate, servers[kind].certificate.pem)


def authority(keys: KeyDirectory) -> Issued:
    """The authority with its private key: for enrolment only, `serve` never reads it."""
    return parse_issued(keys.read(KeyFile.CA_CERTIFICATE), keys.read(KeyFile.CA_KEY))


def authority_certificate(keys: KeyDirectory) -> Certificate:
    return parse_certificate(keys.read(KeyFile.CA_CERTIFICATE))


def server_chains(keys: KeyDirectory) -> tuple[CertificateChain, ...]:
    """The files that a TLS listener loads. Raises RefusedForSafety when one is missing or expired."""
    now = datetime.now(UTC)
    require_current(authority_certificate(keys), "CA certificate", now)
    for kind, (certificate, _) in SERVER_FILES.items():
        require_current(parse_certificate(keys.read(certificate)), f"server certificate ({kind})", now)
    return tuple(CertificateChain(keys.file(certificate), keys.file(key)) for certificate, key in SERVER_FILES.values())
