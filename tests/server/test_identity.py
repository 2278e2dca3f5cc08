"""Who is let in and as what: a device is its key; AE titles name it, and roles decide what it may do."""

import re
import shutil
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from leadglass.archive.admission import Refusal
from leadglass.archive.diagnosis import REMEDIES
from leadglass.archive.provision import authority
from leadglass.crypto.certificates import (
    Certificate,
    Issued,
    create_authority,
    issue_device,
    new_device,
    parse_certificate,
    public_key,
)
from leadglass.crypto.keys import KeyDirectory
from leadglass.crypto.tls import CertificateChain, client_context
from leadglass.dicom import tags, uids
from leadglass.dimse.connection import AssociationRefused
from leadglass.dimse.items import ACCEPTANCE, USER_REJECTION, UserIdentity
from leadglass.dimse.message import CStoreRq
from leadglass.dimse.status import SUCCESS
from leadglass.index.connection import connect
from tests.clients import CT, ROOT, connected, ct, find, instance_of, store
from tests.served import Served
from tests.server.conftest import Copied
from tests.server.log import events
from tests.server.wire import (
    ACCEPT,
    REJECT,
    associated,
    ended,
    eventually,
    is_served,
    pdu,
    plain,
    read_pdu,
    request,
    stranger,
    tls,
    value,
)

ECHO = (uids.VERIFICATION, uids.EXPLICIT_LE)
STORE = (CT, uids.EXPLICIT_LE)
FIND = (uids.STUDY_ROOT_FIND, uids.EXPLICIT_LE)
GET = (uids.STUDY_ROOT_GET, uids.EXPLICIT_LE)


@pytest.fixture(scope="module")
def archive(copied: Copied, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with copied(tmp_path_factory.mktemp("identity")) as served:
        yield served


def rejection(archive: Served, device: str, *, aet: str = "", called: str = "LEADGLASS") -> tuple[int, int, int]:
    """Result, source and reason of A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""
    with pytest.raises(AssociationRefused) as refused, connected(archive, device, ECHO, aet=aet, called=called):
        pass
    rj = refused.value.rj
    return rj.result, rj.source, rj.reason


def echo(archive: Served, device: str, aet: str = "") -> int:
    with connected(archive, device, ECHO, aet=aet) as requestor:
        return requestor.echo().status


def keep(archive: Served, name: str, issued: Issued) -> None:
    """Put a key and certificate where the clients look for those of a device."""
    (archive.devices / f"{name}.key").write_bytes(issued.key)
    (archive.devices / f"{name}.crt").write_bytes(issued.certificate.pem)


def self_signed(name: str) -> Issued:
    """As vendors make them: for twenty years, a CA by their word, without key usage."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begin = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, begin, begin + timedelta(days=7300))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Issued(parse_certificate(made.public_bytes(Encoding.DER)), pem)


def log_of(archive: Served, device: str) -> str:
    return archive.run("device", "log", device)


def trouble_of(archive: Served, device: str) -> str:
    return archive.run("device", "test", device, status=1)


# AE titles


def test_the_calling_title_must_be_the_devices(archive: Served) -> None:
    assert rejection(archive, "scanner", aet="WORKSTATION") == (1, 1, 3)
    assert "calling_ae" in log_of(archive, "scanner")
    assert "as 'WORKSTATION' to 'LEADGLASS': the calling AE title is not one of the device's" in trouble_of(
        archive, "scanner"
    )


def test_the_called_title_must_be_ours(archive: Served) -> None:
    assert rejection(archive, "scanner", called="ANY-SCP") == (1, 1, 7)
    assert "called='ANY-SCP'" in log_of(archive, "scanner")
    assert "the called AE title is not this archive's" in trouble_of(archive, "scanner")


def test_several_titles(archive: Served) -> None:
    archive.enrol("gantry", "modality", aet="ROOM1", options=("--aet", "ROOM2"))
    assert echo(archive, "gantry", "ROOM1") == echo(archive, "gantry", "ROOM2") == SUCCESS
    assert rejection(archive, "gantry", aet="GANTRY") == (1, 1, 3)


def test_a_title_may_be_configured(copied: Copied, tmp_path: Path) -> None:
    with copied(tmp_path, "[dimse]\nae_title = 'PACS 1'\n") as served:
        assert rejection(served, "scanner") == (1, 1, 7)
        with connected(served, "scanner", ECHO, called="PACS 1") as requestor:
            assert requestor.echo().status == SUCCESS


# Keys


def test_a_key_that_is_not_enrolled(archive: Served) -> None:
    """Our own authority has certified it, it uses a device's title, and it is nobody; the device is not in its way."""
    keep(archive, "ghost", new_device(authority(KeyDirectory.open(archive.keys)), "scanner", "ec"))
    assert rejection(archive, "ghost", aet="SCANNER") == (1, 1, 1)
    is_served(archive, 1)
    assert "unknown_key" in log_of(archive, "scanner")
    assert "its key is not enrolled" in trouble_of(archive, "scanner")


def test_a_disabled_device_is_cut_at_once(archive: Served) -> None:
    archive.enrol("leaver", "modality")
    with associated(archive, "leaver", ECHO, STORE) as (live, association):
        live.sendall(association.command(3, CStoreRq(1, CT, "1.2.3"), True) + pdu(4, value(3, 0, ct()[:100])))
        archive.run("device", "disable", "leaver")
        # No time-out ends it: those are minutes away.
        assert ended(live) == b""
    assert rejection(archive, "leaver") == (1, 1, 1)
    assert "disabled" in log_of(archive, "leaver")
    assert "PROBLEM  the device is disabled" in trouble_of(archive, "leaver")
    assert re.search(r"leaver .*disabled", archive.run("device", "list"))


def test_a_resumed_session_is_no_way_back(copied: Copied, tmp_path: Path) -> None:
    """TLS 1.2 lets a session be resumed while the connection that it comes from lives: without another look at the
    certificate, but not without one at the registry. Another receiving process knows nothing of the session."""
    with copied(tmp_path, "[dimse]\nartim_seconds = 600\nprocesses = 1\n") as archive:
        chain = CertificateChain(archive.devices / "scanner.crt", archive.devices / "scanner.key")
        context = client_context(archive.devices / "ca.crt", chain)
        context.maximum_version = ssl.TLSVersion.TLSv1_2

        def connected_again(session: ssl.SSLSession | None) -> ssl.SSLSocket:
            return context.wrap_socket(plain(archive), server_hostname="localhost", session=session)

        def answer_to(session: ssl.SSLSession | None) -> int:
            with connected_again(session) as resumed:
                assert resumed.session_reused
                resumed.sendall(request("SCANNER", [ECHO])[1])
                return read_pdu(resumed)[0]

        # A session ends with the first connection that does: one for each.
        with connected_again(None) as before, connected_again(None) as after:
            assert answer_to(before.session) == ACCEPT
            archive.run("device", "disable", "scanner")
            assert answer_to(after.session) == REJECT


def test_a_key_belongs_to_one_device(archive: Served) -> None:
    archive.enrol("first", "modality")
    given = ("--aet", "SECOND", "--role", "modality", "--cert", str(archive.devices / "first.crt"))
    assert "enrolled for 'first' already" in archive.run("device", "add", "second", *given, status=2)
    assert "exists" in archive.run("device", "add", "first", *given, status=2)


def test_renewal_with_overlap(copied: Copied, tmp_path: Path) -> None:
    archive = copied(tmp_path)
    for suffix in ("key", "crt"):
        shutil.copy(archive.devices / f"scanner.{suffix}", archive.devices / f"scanner-old.{suffix}")
    with archive:
        archive.run("device", "renew", "scanner", "--out", str(archive.devices))
        assert (archive.devices / "scanner.key").read_bytes() != (archive.devices / "scanner-old.key").read_bytes()
        assert echo(archive, "scanner") == echo(archive, "scanner-old", "SCANNER") == SUCCESS
    root = KeyDirectory.open(archive.keys).root()
    index = connect(archive.data / "index.db", root.derive("index"), writing=True)
    assert index.execute("UPDATE device_key SET retired_at = 1 WHERE retired_at IS NOT NULL").rowcount == 1
    index.close()
    with archive:
        assert echo(archive, "scanner") == SUCCESS
        assert rejection(archive, "scanner-old", aet="SCANNER") == (1, 1, 1)
        assert "key_retired" in log_of(archive, "scanner")
        assert "replaced by a renewal and the overlap is over" in trouble_of(archive, "scanner")


# Enrolment


def test_a_request_whose_key_never_leaves_the_device(archive: Served) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whatever it says")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256())
    path = archive.folder / "requester.csr"
    path.write_bytes(csr.public_bytes(Encoding.PEM))
    given = ("--aet", "REQUESTER", "--role", "modality", "--csr", str(path), "--out", str(archive.devices))
    archive.run("device", "add", "requester", *given)
    assert not (archive.devices / "requester.key").exists()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (archive.devices / "requester.key").write_bytes(pem)
    assert echo(archive, "requester") == SUCCESS


def test_a_pinned_certificate(archive: Served) -> None:
    """A self-signed certificate of the device's own admits itself and nothing that it signs."""
    own = self_signed("Vendor device 4711")
    keep(archive, "vendor", own)
    assert ended(stranger(archive, archive.devices / "vendor.crt", archive.devices / "vendor.key")) == b""
    given = ("--aet", "VENDOR", "--role", "modality", "--cert", str(archive.devices / "vendor.crt"))
    archive.run("device", "add", "vendor", *given)
    assert echo(archive, "vendor") == SUCCESS
    keep(archive, "child", new_device(own, "child", "ec"))
    assert rejection(archive, "child", aet="VENDOR") == (1, 1, 1)


def test_a_certificate_of_another_authority(archive: Served) -> None:
    other = create_authority("Hospital CA")
    (archive.folder / "hospital.pem").write_bytes(other.certificate.pem)
    keep(archive, "ours", new_device(other, "ours", "ec"))
    keep(archive, "theirs", new_device(other, "theirs", "ec"))
    given = ("--aet", "OURS", "--role", "modality", "--cert", str(archive.devices / "ours.crt"))
    archive.run("device", "add", "ours", *given, "--ca", str(archive.folder / "hospital.pem"))
    assert echo(archive, "ours") == SUCCESS
    assert rejection(archive, "theirs", aet="OURS") == (1, 1, 1)


def test_pkcs12(archive: Served) -> None:
    path = archive.folder / "boxed.p12"
    given = ("--aet", "BOXED", "--role", "modality", "--p12", str(path))
    printed = archive.run("device", "add", "boxed", *given, stdin="correct horse\ncorrect horse\n")
    assert "correct horse" not in printed
    assert path.stat().st_mode & 0o777 == 0o600
    key, certificate, others = pkcs12.load_key_and_certificates(path.read_bytes(), b"correct horse")
    assert certificate is not None
    assert len(others) == 1
    assert key is not None
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (archive.devices / "boxed.key").write_bytes(pem)
    (archive.devices / "boxed.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    assert echo(archive, "boxed") == SUCCESS


def test_no_password_no_device(archive: Served) -> None:
    """Nobody is enrolled with a key that was never handed out."""
    given = ("--aet", "UNBOXED", "--role", "modality", "--p12", str(archive.folder / "unboxed.p12"))
    archive.run("device", "add", "unboxed", *given, stdin="", status=1)
    assert "unboxed" not in archive.run("device", "list")


# Roles


def test_roles_at_negotiation(archive: Served) -> None:
    """What a role does not allow is a user-rejection (PS3.8 Table 9-18), each context for itself."""
    expected = {
        "scanner": [ACCEPTANCE, ACCEPTANCE, USER_REJECTION, USER_REJECTION],
        "workstation": [ACCEPTANCE, USER_REJECTION, ACCEPTANCE, ACCEPTANCE],
        "steward": [ACCEPTANCE] * 4,
    }
    for device, results in expected.items():
        with connected(archive, device, ECHO, STORE, FIND, GET) as requestor:
            assert [result.result for result in requestor.accepted.results] == results, device


def test_roles_at_the_operation(archive: Served) -> None:
    """A workstation that takes objects as SCP has a context for them, and still stores nothing."""
    data = ct(study=f"{ROOT}.991")
    with connected(archive, "workstation", GET, STORE, retrieves=True) as requestor:
        answer = requestor.store(CT, instance_of(data), STORE[1], (data,))
    assert answer.status == 0x0124
    assert find(archive, "STUDY", {tags.STUDY_INSTANCE_UID: f"{ROOT}.991"}) == []


def test_a_scanner_is_no_scp(archive: Served) -> None:
    with connected(archive, "scanner", STORE, retrieves=True) as requestor:
        assert not any(role.scp for role in requestor.accepted.user.roles)


# Users


def test_a_user_name_is_a_claim(copied: Copied, tmp_path: Path) -> None:
    """It is recorded as what it is, and does not take the place of the person that the device is enrolled for."""
    archive = copied(tmp_path)
    asked = UserIdentity(2, True, "Dr. Zwö".encode(), b"pass-4711-code")
    archive.enrol("shared", "clinician")
    with archive:
        for device in ("workstation", "shared"):
            for user in (UserIdentity(1, False, b"Dr. One"), asked):
                with connected(archive, device, FIND, user=user) as requestor:
                    # Nobody has verified the user, so nothing says so.
                    assert requestor.accepted.user.user_identity_response is None
                    list(requestor.find(uids.STUDY_ROOT_FIND, {tags.QUERY_RETRIEVE_LEVEL: "STUDY"}))
        assert store(archive, ct())[0].status == SUCCESS
    seen = events(archive, "association", "query")
    claims = [(event["d"]["user_identity"], event["d"].get("claimed")) for event in seen if event["a"] == "association"]
    assert claims == [(1, "Dr. One"), (2, "Dr. Zwö")] * 2 + [(0, None)]
    persons = [event.get("h") for event in seen if event["a"] == "query"]
    assert persons == ["Dr. Test", "Dr. Test", "claimed:Dr. One", "claimed:Dr. Zwö"]
    assert "pass-4711" not in str(events(archive))
    assert "pass-4711" not in archive.log.read_text()


# What the archive says about those it turned away


def test_a_refusal_is_on_record_before_its_end(copied: Copied, tmp_path: Path) -> None:
    """Whether and when the peer closes is its own affair."""
    with copied(tmp_path, "[dimse]\nartim_seconds = 300\n") as archive, tls(archive, "scanner") as peer:
        peer.sendall(request("SCANNER", [ECHO], called="NOBODY")[1])
        assert read_pdu(peer) == (3, b"\0\1\1\7")
        eventually(lambda: "reason='called_ae'" in log_of(archive, "scanner"))


def test_every_rejection_in_words(archive: Served) -> None:
    archive.enrol("unlucky", "modality")
    keys = KeyDirectory.open(archive.keys)
    mine = Issued(_certificate_of(archive, "unlucky"), (archive.devices / "unlucky.key").read_bytes())
    past = mine.certificate.not_before.replace(year=2001)
    expired = Issued(issue_device(authority(keys), "unlucky", public_key(mine.certificate), now=past), mine.key)
    keep(archive, "expired", expired)
    keep(archive, "foreign", create_authority("Somebody"))
    ended(stranger(archive))
    ended(stranger(archive, archive.devices / "foreign.crt", archive.devices / "foreign.key"))
    ended(stranger(archive, archive.devices / "expired.crt", archive.devices / "expired.key"))
    with stranger(archive, archive.devices / "unlucky.crt", archive.devices / "unlucky.key") as peer:
        peer.sendall(request("UNLUCKY", [ECHO], called="NOBODY")[1])
        assert read_pdu(peer) == (3, b"\0\1\1\7")
    logged, told = log_of(archive, "unlucky"), trouble_of(archive, "unlucky")
    for reason, words in {
        "no_certificate": ("it showed no client certificate", "Install a client certificate"),
        "untrusted": ("does not chain to an authority that is trusted here", "Enrol its certificate with --cert"),
        "certificate_expired": ("its certificate is expired", "Give it a new one with `leadglass device renew`"),
        "called_ae": ("the called AE title is not this archive's", "Set the called AE title"),
    }.items():
        assert f"reason={reason!r}" in logged
        assert all(each in told for each in words), told


def test_a_workstation_of_somebody_who_left(archive: Served) -> None:
    archive.run("user", "add", "leaver", "--role", "clinician", "--person", "Dr. Leaver")
    archive.enrol("desk", "clinician", options=("--person", "Dr. Leaver"))
    assert echo(archive, "desk") == SUCCESS
    archive.run("user", "disable", "leaver")
    assert rejection(archive, "desk") == (1, 1, 1)
    assert "the user that it is enrolled to is disabled. Enrol the workstation" in trouble_of(archive, "desk")


def test_every_refusal_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Refusal)


def _certificate_of(archive: Served, device: str) -> Certificate:
    return parse_certificate((archive.devices / f"{device}.crt").read_bytes())
