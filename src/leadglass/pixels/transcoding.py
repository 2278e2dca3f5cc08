"""What becomes of an object's description when its frames are decoded or transcoded."""

from collections.abc import Mapping
from dataclasses import replace

from leadglass.dicom.tags import PHOTOMETRIC_INTERPRETATION
from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.header import PLANAR_CONFIGURATION
from leadglass.pixels.syntaxes import DECODED, LOSSLESS_JPEG, Family


def decoded_photometric(description: PixelDescription) -> str:
    """The Photometric Interpretation of decoded samples (PS3.3 C.7.6.3.1.2): some codecs undo a colour transform."""
    photometric = description.photometric_interpretation
    if description.samples_per_pixel != 3:
        return photometric
    match DECODED.get(description.transfer_syntax):
        case Family.JPEG if description.transfer_syntax not in LOSSLESS_JPEG:
            return "RGB"
        case Family.JPEG_2000 | Family.HTJ2K if photometric in ("YBR_ICT", "YBR_RCT"):
            return "RGB"
        case Family.JPEG_XL if photometric.startswith(("YBR", "XYB")):
            return "RGB"
        case Family.NATIVE | Family.DEFLATED if description.subsampled:
            return "YBR_FULL"
    return photometric


def native_form(description: PixelDescription) -> PixelDescription:
    """What the result of `DecoderPool.decode` is: native little endian, colour by pixel."""
    return replace(
        description,
        transfer_syntax=EXPLICIT_LE,
        photometric_interpretation=decoded_photometric(description),
        planar_configuration=0,
        word_swapped=False,
    )


def changes(description: PixelDescription) -> Mapping[int, str | int]:
    """The attributes of the data set to set when all its frames are transcoded, to whatever (PS3.5 8.2).

    Nothing else changes: what an earlier lossy compression left in the data set still holds.
    """
    changed: dict[int, str | int] = {}
    if (photometric := decoded_photometric(description)) != description.photometric_interpretation:
        changed[PHOTOMETRIC_INTERPRETATION] = photometric
    if description.samples_per_pixel > 1 and description.planar_configuration:
        changed[PLANAR_CONFIGURATION] = 0
    return changed
