"""A generated CT series of a head phantom: no patient, no numpy, correct CT Image Storage objects (PS3.3 A.3).

The phantom is made of ellipsoids. Each slice is painted row by row with runs of bytes, since the border of
an ellipse on a row is the root of a quadratic; noise is then added to all pixels at once as one long integer addition.
"""

import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from statistics import NormalDist
from uuid import UUID

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from leadglass.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

#: Stored value 0 is -1024 HU, so that no pixel is negative.
RESCALE_INTERCEPT = -1024
FIELD_OF_VIEW = 250.0  # mm
SLICE_THICKNESS = 2.5  # mm
_NOISE_MEAN = 20
_NOISE_SIGMA = 6.5  # HU; 256 quantiles reach 2.9 sigma, so that mean ± that stays within 1..39
_AIR = -1000


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """Centre and half axes in mm (x to the patient's left, y to the back, z to the head), turned by `angle` about z."""

    x: float
    y: float
    z: float
    a: float
    b: float
    c: float
    hounsfield: int
    angle: float = 0.0


@dataclass(frozen=True, slots=True)
class Ellipse:
    """What a slice plane cuts out of an ellipsoid. Lengths in mm."""

    x: float
    y: float
    a: float
    b: float
    hounsfield: int
    angle: float


#: Painted in this order, later ones over earlier ones. The head rest goes through all slices, hence its length.
HEAD: tuple[Ellipsoid, ...] = (
    Ellipsoid(0, 112, 0, 90, 8, 1e6, -60),  # head rest, a foam over
    Ellipsoid(0, 116, 0, 80, 6, 1e6, 90),  # a resin core
    Ellipsoid(0, 0, 0, 80, 99, 105, 45),  # scalp
    Ellipsoid(0, 0, 0, 75, 94, 100, 1000),  # skull
    Ellipsoid(0, 0, 0, 68, 87, 93, 35),  # brain
    Ellipsoid(-14, -10, 12, 6, 26, 30, 6, math.radians(14)),  # lateral ventricles
    Ellipsoid(14, -10, 12, 6, 26, 30, 6, math.radians(-14)),
    Ellipsoid(0, 16, -10, 3, 9, 14, 6),  # third ventricle
    Ellipsoid(-36, 34, 5, 13, 9, 15, 70, math.radians(-30)),  # a fresh bleeding
    Ellipsoid(38, 22, 20, 14, 14, 16, 22),  # an oedema
    Ellipsoid(0, 40, 0, 2.5, 4, 6, 300),  # a calcified pineal gland
    Ellipsoid(-45, -25, 0, 8, 8, 65, 0),  # spindles: water,
    Ellipsoid(45, -25, 0, 8, 8, 65, 900),  # bone,
    Ellipsoid(-26, -58, 0, 6, 6, 65, -1000),  # air,
    Ellipsoid(26, -58, 0, 6, 6, 65, -100),  # polyethylene,
    Ellipsoid(0, -68, 0, 5, 5, 65, 120),  # acrylic
    Ellipsoid(0, 66, 0, 1, 12, 65, 120),  # and a row of lines for the eye's resolution
    Ellipsoid(-4, 66, 0, 0.7, 12, 65, 120),
    Ellipsoid(4, 66, 0, 0.7, 12, 65, 120),
)


def phantom_series(slices: int = 60, rows: int = 512, columns: int = 512, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield (file name, DICOM file of PS3.10) of each slice, feet first. Equal arguments give equal bytes.

    Raises ValueError for a matrix or a number of slices that CT Image Storage cannot hold.
    """
    if not (1 <= slices <= 9999 and 16 <= rows <= 4096 and 16 <= columns <= 4096):
        raise ValueError("a phantom has 1 to 9999 slices of 16 to 4096 rows and columns")
    noise = random.Random(seed)  # noqa: S311 (image noise, no secret)
    for number in range(1, slices + 1):
        z = (number - (slices + 1) / 2) * SLICE_THICKNESS
        pixels = _add_noise(paint(HEAD, z, rows, columns), noise.randbytes(rows * columns))
        yield f"CT{number:04d}.dcm", _encode(_describe(number, z, rows, columns, seed), pixels)


def paint(solids: Sequence[Ellipsoid], z: float, rows: int, columns: int) -> bytearray:
    """The slice at height `z` (mm) without noise: rows × columns stored values of 16 bits, less the noise's mean."""
    image = bytearray(_stored(_AIR) * (rows * columns))
    pitch = FIELD_OF_VIEW / max(rows, columns)
    for solid in solids:
        ellipse = _cut(solid, z)
        if ellipse is not None:
            _fill(image, ellipse, pitch, rows, columns)
    return image


def _stored(hounsfield: int) -> bytes:
    return (hounsfield - RESCALE_INTERCEPT - _NOISE_MEAN).to_bytes(2, "little")


def _cut(solid: Ellipsoid, z: float) -> Ellipse | None:
    left = 1 - ((z - solid.z) / solid.c) ** 2
    if left <= 0:
        return None
    scale = math.sqrt(left)
    return Ellipse(solid.x, solid.y, solid.a * scale, solid.b * scale, solid.hounsfield, solid.angle)


def _fill(image: bytearray, ellipse: Ellipse, pitch: float, rows: int, columns: int) -> None:
    """Paint the pixels whose centres lie within, a run of bytes a row."""
    cosine, sine = math.cos(ellipse.angle), math.sin(ellipse.angle)
    # ((x cos + y sin) / a)² + ((y cos - x sin) / b)² = 1 as p x² + q y x + r y² = 1.
    p = (cosine / ellipse.a) ** 2 + (sine / ellipse.b) ** 2
    q = 2 * cosine * sine * (1 / ellipse.a**2 - 1 / ellipse.b**2)
    r = (sine / ellipse.a) ** 2 + (cosine / ellipse.b) ** 2
    reach = math.sqrt(p / (p * r - q * q / 4))
    middle_row, middle_column = (rows - 1) / 2, (columns - 1) / 2
    first = max(0, math.ceil((ellipse.y - reach) / pitch + middle_row))
    last = min(rows - 1, math.floor((ellipse.y + reach) / pitch + middle_row))
    run = _stored(ellipse.hounsfield) * columns
    for row in range(first, last + 1):
        y = (row - middle_row) * pitch - ellipse.y
        half = math.sqrt(max(0.0, (q * y) ** 2 - 4 * p * (r * y * y - 1))) / (2 * p)
        centre = ellipse.x - q * y / (2 * p)
        left = max(0, math.ceil((centre - half) / pitch + middle_column))
        right = min(columns, math.floor((centre + half) / pitch + middle_column) + 1)
        if right > left:
            start = 2 * (row * columns + left)
            image[start : start + 2 * (right - left)] = run[: 2 * (right - left)]


def _noise_table() -> bytes:
    normal = NormalDist(_NOISE_MEAN, _NOISE_SIGMA)
    return bytes(round(normal.inv_cdf((step + 0.5) / 256)) for step in range(256))


_NOISE_TABLE = _noise_table()


def _add_noise(image: bytearray, uniform: bytes) -> bytes:
    """Add a normal noise to each 16-bit pixel; `uniform` has one random byte a pixel."""
    lanes = bytearray(len(image))
    lanes[::2] = uniform.translate(_NOISE_TABLE)
    # No pixel overflows its 16 bits, hence no carry leaves a lane and one addition serves all.
    total = int.from_bytes(image, "little") + int.from_bytes(lanes, "little")
    return total.to_bytes(len(image), "little")


def _uid(seed: int, name: str) -> str:
    """A UID from a UUID (PS3.5 B.2) that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"leadglass phantom {seed} {name}".encode()).digest()
    return f"2.25.{UUID(bytes=digest[:16], version=4).int}"


def _describe(number: int, z: float, rows: int, columns: int, seed: int) -> Dataset:
    image = Dataset()
    _describe_study(image, seed)
    _describe_equipment(image)
    _describe_slice(image, number, z, seed)
    _describe_matrix(image, rows, columns)
    return image


def _describe_study(image: Dataset, seed: int) -> None:
    image.PatientName = "Phantom^Head"
    image.PatientID = f"PHANTOM-{seed}"
    image.PatientBirthDate = "20000101"
    image.PatientSex = "O"
    image.StudyInstanceUID = _uid(seed, "study")
    image.StudyID = str(seed)
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = "20260105"
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = "093000"
    image.AccessionNumber = f"PH{seed}"
    image.ReferringPhysicianName = ""
    image.StudyDescription = "Head phantom"
    image.Modality = "CT"
    image.SeriesInstanceUID = _uid(seed, "series")
    image.SeriesNumber = 1
    image.SeriesDescription = "Phantom 2.5 mm"
    image.BodyPartExamined = "HEAD"
    image.PatientPosition = "HFS"
    image.FrameOfReferenceUID = _uid(seed, "frame of reference")
    image.PositionReferenceIndicator = ""


def _describe_equipment(image: Dataset) -> None:
    image.Manufacturer = "Leadglass"
    image.ManufacturerModelName = "Generated phantom"
    image.DeviceSerialNumber = "0"
    image.SoftwareVersions = "1"
    image.KVP = 120
    image.ConvolutionKernel = "NONE"
    image.RotationDirection = "CW"
    image.GantryDetectorTilt = 0
    image.XRayTubeCurrent = 200
    image.ExposureTime = 1000
    image.Exposure = 200


def _describe_slice(image: Dataset, number: int, z: float, seed: int) -> None:
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = _uid(seed, f"image {number}")
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.AcquisitionNumber = 1
    image.InstanceNumber = number
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.ImagePositionPatient = [0, 0, z]
    image.SliceLocation = z
    image.SliceThickness = SLICE_THICKNESS


def _describe_matrix(image: Dataset, rows: int, columns: int) -> None:
    pitch = FIELD_OF_VIEW / max(rows, columns)
    # The position is that of the first pixel's centre (PS3.3 C.7.6.2.1.1).
    image.ImagePositionPatient = [-(columns - 1) / 2 * pitch, -(rows - 1) / 2 * pitch, image.ImagePositionPatient[2]]
    image.PixelSpacing = [pitch, pitch]
    image.ReconstructionDiameter = FIELD_OF_VIEW
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows = rows
    image.Columns = columns
    image.BitsAllocated = 16
    image.BitsStored = 12
    image.HighBit = 11
    image.PixelRepresentation = 0
    image.RescaleIntercept = RESCALE_INTERCEPT
    image.RescaleSlope = 1
    image.RescaleType = "HU"
    image.WindowCenter = [40, 400]
    image.WindowWidth = [100, 2000]
    image.WindowCenterWidthExplanation = ["BRAIN", "BONE"]


def _encode(image: Dataset, pixels: bytes) -> bytes:
    image.add_new(0x7FE00010, "OW", pixels)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    image.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    file = BytesIO()
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()
