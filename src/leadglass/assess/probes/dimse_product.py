"""Which product answers, by its implementation class UID and version name (PS3.7 D.3.3.2), and what marks a decoy."""

from collections.abc import Iterable
from typing import Final

#: Roots under which implementation class UIDs lie, the longest first where one lies within another. Orthanc, and many
#: products that are not told apart here, say what DCMTK says.
_ROOTS: Final = (
    ("1.2.276.0.7230010.3.0.3", "DCMTK"),
    ("1.2.40.0.13.1", "dcm4che"),
    ("1.2.826.0.1.3680043.9.3811", "pynetdicom"),
    ("1.2.826.0.1.3680043.9.7133", "go-netdicom"),
    ("1.2.826.0.1.3680043.2.135.1066", "Conquest"),
    ("1.2.826.0.1.3680043.2.1343.8806", "ClearCanvas"),
    ("1.2.826.0.1.3680043.2.60.0.1", "K-PACS"),
    ("1.2.826.0.1.3680043.2.46", "Merge"),
    ("2.16.840.1.113669", "Merge"),
    ("1.3.6.1.4.1.30071.8", "fo-dicom"),
    ("1.3.6.1.4.1.25403", "ClearCanvas"),
    ("2.16.756.5.5.100", "OsiriX"),
    ("2.25.151260878520460117488808415008887072922", "Leadglass"),
    ("1.2.840.113619", "GE"),
    ("1.3.12.2.1107.5", "Siemens"),
    ("1.3.46.670589", "Philips"),
    ("1.2.392.200036.9125", "Fujifilm"),
    ("1.2.392.200036.9116", "Canon"),
    ("1.2.124.113532", "Agfa"),
    ("1.2.752.24", "Sectra"),
    ("1.2.840.113564", "Carestream"),
)
#: AE titles that products come with; tried in this order where a title is asked for.
DEFAULT_TITLES: Final = (
    "ORTHANC",
    "DCM4CHEE",
    "ANY-SCP",
    "COMMON",
    "PACS",
    "STORESCP",
    "QRSCP",
    "DCMQRSCP",
    "CONQUESTSRV1",
    "DICOOGLE-STORAGE",
    "ARCHIVE",
)
#: The one sign that real archives show too: Orthanc and storescp do where they are told to.
TAKES_ANYTHING: Final = "it accepts a SOP class that does not exist"
#: Libraries of which decoys are made (Dicompot stands on go-netdicom), while we know of no archive that is.
_DECOY_LIBRARIES: Final = frozenset({"go-netdicom"})


def root_of(class_uid: str) -> str:
    """The known root under which an implementation class UID lies; "" when there is none."""
    return next((root for root, _ in _ROOTS if class_uid == root or class_uid.startswith(root + ".")), "")


def product_of(class_uid: str, version: str) -> str:
    """Name and version, such as `dcm4che dcm4che-5.23.2`; "" when nothing is known. `version`: as it may be shown."""
    name = dict(_ROOTS).get(root_of(class_uid), "")
    return " ".join(each for each in (name, version) if each)


def decoy_signs(class_uid: str, *, takes_anything: bool, answers_nonsense: bool) -> Iterable[str]:
    """What archives do not do. `takes_anything`: accepted a SOP class that does not exist; `answers_nonsense`: had
    matches for a study that cannot exist."""
    if product_of(class_uid, "") in _DECOY_LIBRARIES:
        yield "its implementation class UID is that of a library decoys are made with"
    if takes_anything:
        yield TAKES_ANYTHING
    if answers_nonsense:
        yield "it has matches for a study that cannot exist"
