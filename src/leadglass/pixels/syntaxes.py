"""Which transfer syntaxes are read and written here, and which are not (the conformance statement prints this)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from leadglass.dicom.uids import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE


class Family(StrEnum):
    """How the frames of a transfer syntax are decoded."""

    NATIVE = "native"
    RLE = "RLE"
    DEFLATED = "deflated frames"
    JPEG = "JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    HTJ2K = "HTJ2K"
    JPEG_XL = "JPEG XL"


_ROOT: Final = "1.2.840.10008.1.2."
RLE: Final = _ROOT + "5"
JPEG_BASELINE: Final = _ROOT + "4.50"
JPEG_LS_LOSSLESS: Final = _ROOT + "4.80"
JPEG_2000_LOSSLESS: Final = _ROOT + "4.90"
HTJ2K_LOSSLESS: Final = _ROOT + "4.201"
JPEG_XL_LOSSLESS: Final = _ROOT + "4.110"

#: Transfer syntax → family: what is decoded. PS3.5 A.4 and 10.
DECODED: Final[Mapping[str, Family]] = MappingProxyType(
    {
        **dict.fromkeys((IMPLICIT_LE, EXPLICIT_LE, DEFLATED, EXPLICIT_BE, EXPLICIT_LE + ".98"), Family.NATIVE),
        RLE: Family.RLE,
        _ROOT + "8.1": Family.DEFLATED,
        **dict.fromkeys((_ROOT + f"4.{each}" for each in (50, 51, 53, 55, 57, 70)), Family.JPEG),
        **dict.fromkeys((_ROOT + f"4.{each}" for each in (80, 81)), Family.JPEG_LS),
        **dict.fromkeys((_ROOT + f"4.{each}" for each in (90, 91)), Family.JPEG_2000),
        **dict.fromkeys((_ROOT + f"4.{each}" for each in (201, 202, 203)), Family.HTJ2K),
        **dict.fromkeys((_ROOT + f"4.{each}" for each in (110, 111, 112)), Family.JPEG_XL),
    }
)
LOSSLESS_JPEG: Final = frozenset({_ROOT + "4.57", _ROOT + "4.70"})
#: What frames can be transcoded to, all of them without loss.
ENCODED: Final = (EXPLICIT_LE, RLE, JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS)
