"""pynetdicom as SCU over TLS."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread, read_dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation, UserIdentityNegotiation

from leadglass.dicom import tags, uids
from leadglass.dicom.attributes import encode_attributes
from leadglass.dimse.message import CCancelRq, CFindRq, CFindRsp
from leadglass.dimse.status import CANCEL, PENDING, SUBOPERATIONS_WARNING, SUCCESS
from leadglass.model import Attributes
from tests.clients import CT, ROOT, connected, ct, store
from tests.interop.dcmtk import packaged
from tests.served import Served
from tests.server.wire import eventually

UIDS = f"{ROOT}.70"
MANY = f"{UIDS}.9"


def context(archive: Served, device: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(archive.devices / "ca.crt"))
    made.load_cert_chain(archive.devices / f"{device}.crt", archive.devices / f"{device}.key")
    return made


@contextmanager
def associated(
    archive: Served,
    device: str,
    *abstract: str,
    storage: tuple[str, ...] = (),
    on_store: Any = None,
    tls: ssl.SSLContext | None = None,
    negotiation: tuple[Any, ...] = (),
) -> Iterator[Any]:
    """An association; `storage` are the classes that it takes objects of as SCP."""
    entity: Any = AE(ae_title=device.upper())
    for each in (*abstract, *storage):
        entity.add_requested_context(each, ExplicitVRLittleEndian)
    roles = [build_role(each, scp_role=True) for each in storage]
    association = entity.associate(
        "127.0.0.1",
        archive.port,
        ae_title="LEADGLASS",
        tls_args=(tls or context(archive, device), "localhost"),
        ext_neg=[*roles, *negotiation],
        evt_handlers=[(evt.EVT_C_STORE, on_store)] if on_store else [],
    )
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def identifier(level: str, **keys: str) -> Dataset:
    made = Dataset()
    made.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    return made


def find(association: Any, keys: Dataset, root: str = uids.STUDY_ROOT_FIND) -> list[Dataset]:
    answers = list(association.send_c_find(keys, root))
    assert answers[-1][0].Status == SUCCESS
    return [answer for _, answer in answers[:-1]]


@pytest.fixture(scope="module")
def filled(archive: Served) -> Served:
    """A study of more answers than fit into one write, and of several images to retrieve."""
    data_sets = [ct(number, study=MANY, patient_id="N-9", pixels=bytes(32)) for number in range(1, 401)]
    assert {response.status for response in store(archive, *data_sets)} == {SUCCESS}
    return archive


@pytest.mark.parametrize(
    ("version", "ciphers", "key"),
    [
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256", "RSA"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES256-GCM-SHA384", "RSA"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256", "EC"),
        (ssl.TLSVersion.TLSv1_3, "", ""),
    ],
)
def test_echo_by_each_kind_of_key(archive: Served, version: ssl.TLSVersion, ciphers: str, key: str) -> None:
    """Many scanners do RSA only: both server keys stand side by side (PS3.15 B.12)."""
    tls = context(archive, "scanner")
    tls.minimum_version = tls.maximum_version = version
    if ciphers:
        tls.set_ciphers(ciphers)
    with associated(archive, "scanner", uids.VERIFICATION, tls=tls) as association:
        assert association.send_c_echo().Status == SUCCESS
    if key:
        with (
            socket.create_connection(("127.0.0.1", archive.port)) as plain,
            tls.wrap_socket(plain, server_hostname="localhost") as door,
        ):
            shown = x509.load_der_x509_certificate(door.getpeercert(binary_form=True) or b"")
            assert isinstance(shown.public_key(), rsa.RSAPublicKey) == (key == "RSA")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1])
def test_older_tls_is_refused(archive: Served, version: ssl.TLSVersion) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.load_verify_locations(archive.devices / "ca.crt")
    tls.load_cert_chain(archive.devices / "scanner.crt", archive.devices / "scanner.key")
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.minimum_version = tls.maximum_version = version
    with pytest.raises(AssertionError), associated(archive, "scanner", uids.VERIFICATION, tls=tls):
        pass


@pytest.mark.parametrize("name", ["CT_small.dcm", "rtplan.dcm", "waveform_ecg.dcm", "reportsi.dcm"])
def test_store_and_get(archive: Served, tmp_path: Path, name: str) -> None:
    dataset = dcmread(packaged(name))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    sent = BytesIO()
    dataset.save_as(sent, implicit_vr=False, little_endian=True)
    dataset = dcmread(BytesIO(sent.getvalue()), force=True)
    sop_class = str(dataset.SOPClassUID)
    with associated(archive, "scanner", sop_class) as association:
        assert association.send_c_store(dataset).Status == SUCCESS
    received: list[Dataset] = []

    def on_store(event: Any) -> int:
        received.append(event.dataset)
        return SUCCESS

    keys = identifier("STUDY", StudyInstanceUID=str(dataset.StudyInstanceUID))
    with associated(
        archive, "workstation", uids.STUDY_ROOT_GET, storage=(sop_class,), on_store=on_store
    ) as association:
        answers = [status for status, _ in association.send_c_get(keys, uids.STUDY_ROOT_GET)]
    assert answers[-1].Status == SUCCESS
    assert (answers[-1].NumberOfCompletedSuboperations, answers[-1].NumberOfFailedSuboperations) == (1, 0)
    assert received == [dataset]


def test_get_without_the_role_fails_each_sub_operation(filled: Served) -> None:
    """PS3.4 C.5.3: who has not proposed to be SCP cannot be sent anything."""
    keys = identifier("IMAGE", StudyInstanceUID=MANY, SeriesInstanceUID=f"{MANY}.1", SOPInstanceUID=f"{MANY}.1.1")
    with associated(filled, "workstation", uids.STUDY_ROOT_GET) as association:
        answers = list(association.send_c_get(keys, uids.STUDY_ROOT_GET))
    status, listed = answers[-1]
    assert status.Status in (0xA702, SUBOPERATIONS_WARNING)
    assert (status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (0, 1)
    assert listed.FailedSOPInstanceUIDList == f"{MANY}.1.1"


def test_a_refusal_by_the_receiver_is_counted(filled: Served) -> None:
    uid_list = "\\".join(f"{MANY}.1.{number}" for number in (1, 2, 3))
    keys = identifier("IMAGE", StudyInstanceUID=MANY, SeriesInstanceUID=f"{MANY}.1", SOPInstanceUID=uid_list)

    def on_store(event: Any) -> int:
        return 0xA700 if str(event.request.AffectedSOPInstanceUID).endswith(".2") else SUCCESS

    with associated(filled, "workstation", uids.STUDY_ROOT_GET, storage=(CT,), on_store=on_store) as association:
        answers = list(association.send_c_get(keys, uids.STUDY_ROOT_GET))
    status, listed = answers[-1]
    assert status.Status == SUBOPERATIONS_WARNING
    assert (status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (2, 1)
    assert listed.FailedSOPInstanceUIDList == f"{MANY}.1.2"


def test_find_in_both_models(filled: Served) -> None:
    with associated(filled, "workstation", uids.STUDY_ROOT_FIND, uids.PATIENT_ROOT_FIND) as association:
        (study,) = find(association, identifier("STUDY", StudyInstanceUID=MANY, NumberOfStudyRelatedInstances=""))
        assert study.NumberOfStudyRelatedInstances == 400
        patient = identifier("PATIENT", PatientID="N-9", PatientName="")
        (found,) = find(association, patient, uids.PATIENT_ROOT_FIND)
        assert found.PatientName == "Planted^Patient"
        images = find(association, identifier("IMAGE", StudyInstanceUID=MANY, SOPInstanceUID="", InstanceNumber=""))
        assert sorted(int(image.InstanceNumber) for image in images) == list(range(1, 401))


def test_cancel_of_a_find(filled: Served) -> None:
    keys = identifier("IMAGE", StudyInstanceUID=MANY, SOPInstanceUID="", StudyDescription="", PatientName="", Rows="")
    with associated(filled, "workstation", uids.STUDY_ROOT_FIND) as association:
        statuses: list[int] = []
        for status, _ in association.send_c_find(keys, uids.STUDY_ROOT_FIND, msg_id=7):
            if not statuses:
                association.send_c_cancel(7, query_model=uids.STUDY_ROOT_FIND)
            statuses.append(status.Status)
        assert statuses[0] == PENDING
        # All answers fit into the sockets' buffers: they may be on their way before the cancel arrives.
        assert statuses[-1] == CANCEL or (statuses[-1] == SUCCESS and len(statuses) == 401)


def test_cancel_that_comes_with_the_find(filled: Served) -> None:
    """Sent in one write with the request, a C-CANCEL is there when the first answers have gone."""
    keys: Attributes = {tags.QUERY_RETRIEVE_LEVEL: "IMAGE", tags.STUDY_INSTANCE_UID: MANY, tags.PATIENT_NAME: ""}
    with connected(filled, "workstation", (uids.STUDY_ROOT_FIND, uids.EXPLICIT_LE)) as workstation:
        connection = workstation._connection
        association = connection.association
        data = encode_attributes(keys, uids.TRANSFER_SYNTAXES[uids.EXPLICIT_LE], ())
        request = association.reply(1, CFindRq(7, uids.STUDY_ROOT_FIND), data)
        connection.send(request + association.reply(1, CCancelRq(7)))
        statuses = [PENDING]
        while statuses[-1] == PENDING:
            event = connection.next_command()
            assert isinstance(event.message, CFindRsp)
            if event.has_data_set:
                assert sum(map(len, connection.next_data_set()))
            statuses.append(event.message.status)
    assert statuses[-1] == CANCEL
    assert 2 < len(statuses) < 400


def test_cancel_of_a_get(filled: Served) -> None:
    received: list[str] = []

    def on_store(event: Any) -> int:
        if not received:
            event.assoc.send_c_cancel(7, query_model=uids.STUDY_ROOT_GET)
        received.append(str(event.request.AffectedSOPInstanceUID))
        return SUCCESS

    keys = identifier("STUDY", StudyInstanceUID=MANY)
    with associated(filled, "workstation", uids.STUDY_ROOT_GET, storage=(CT,), on_store=on_store) as association:
        answers = [status for status, _ in association.send_c_get(keys, uids.STUDY_ROOT_GET, msg_id=7)]
    final = answers[-1]
    assert final.Status == CANCEL
    assert final.NumberOfCompletedSuboperations == len(received) < 400
    assert final.NumberOfRemainingSuboperations == 400 - len(received)


@pytest.mark.parametrize("kind", [1, 2])
def test_user_identity(archive: Served, kind: int) -> None:
    identity = UserIdentityNegotiation()
    identity.user_identity_type = kind
    identity.primary_field = b"dr.grey"
    identity.positive_response_requested = False
    if kind == 2:
        identity.secondary_field = b"a password that no log may hold"
    with associated(archive, "steward", uids.VERIFICATION, negotiation=(identity,)) as association:
        assert association.send_c_echo().Status == SUCCESS
    # That an association began is put off until something else is committed, or for a moment.
    eventually(lambda: f"user_identity={kind}" in archive.run("device", "log", "steward"))
    assert "no log may hold" not in archive.run("device", "log", "steward") + archive.log.read_text()


@pytest.mark.parametrize(("asked", "found"), [(b"\1\1\0\0", 2), (b"\1\0\0\0", 0)])
def test_combined_date_time(archive: Served, asked: bytes, found: int) -> None:
    study = f"{UIDS}.8.{asked[1] + 1}"
    for number, (date, time) in enumerate((("20240110", "230000"), ("20240111", "010000"))):
        data_set = ct(study=f"{study}.{number + 1}", patient_id=f"N-8{asked[1]}", StudyDate=date, StudyTime=time)
        assert store(archive, data_set)[0].status == SUCCESS
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid = uids.STUDY_ROOT_FIND
    extended.service_class_application_information = asked
    keys = identifier("STUDY", PatientID=f"N-8{asked[1]}", StudyDate="20240110-20240111", StudyTime="220000-020000")
    with associated(archive, "workstation", uids.STUDY_ROOT_FIND, negotiation=(extended,)) as association:
        assert association.acceptor.sop_class_extended == {uids.STUDY_ROOT_FIND: asked}
        assert len(find(association, keys)) == found


def test_stored_bytes_are_those_that_pynetdicom_sent(archive: Served) -> None:
    study = f"{UIDS}.7"
    data_set = ct(study=study, patient_id="N-7")
    dataset = read_dataset(BytesIO(data_set), False, True)
    dataset.file_meta = dcmread(packaged("CT_small.dcm")).file_meta
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with associated(archive, "scanner", CT) as association:
        assert association.send_c_store(dataset).Status == SUCCESS
    encoded: list[bytes] = []

    def on_store(event: Any) -> int:
        encoded.append(event.request.DataSet.getvalue())
        return SUCCESS

    keys = identifier("STUDY", StudyInstanceUID=study)
    with associated(archive, "workstation", uids.STUDY_ROOT_GET, storage=(CT,), on_store=on_store) as association:
        list(association.send_c_get(keys, uids.STUDY_ROOT_GET))
    assert encoded == [data_set]
