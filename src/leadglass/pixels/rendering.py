"""How a frame is to be shown: the rendering parameters of PS3.18 8.3.5.1."""

from dataclasses import dataclass
from enum import StrEnum

from leadglass.pixels.description import Window

THUMBNAIL_SIZE = 128


class Format(StrEnum):
    JPEG = "image/jpeg"
    PNG = "image/png"


@dataclass(frozen=True, slots=True)
class Viewport:
    """PS3.18 8.3.5.1.3. The image is scaled, keeping its shape, to the largest size that fits in width × height.

    `left`, `top`, `source_width`, `source_height`: the region of the image that is shown, in its pixels; all of it
    where they are None. Negative source sizes flip it.
    """

    width: int
    height: int
    left: int | None = None
    top: int | None = None
    source_width: int | None = None
    source_height: int | None = None


@dataclass(frozen=True, slots=True)
class Rendering:
    """`window`: instead of what the object says (PS3.18 8.3.5.1.4). `quality`: of JPEG, 1 to 100. Without a viewport
    the image has its own size, but for pixels that are not square, which are made so by enlarging."""

    format: Format = Format.JPEG
    window: Window | None = None
    viewport: Viewport | None = None
    quality: int = 90


THUMBNAIL = Rendering(viewport=Viewport(THUMBNAIL_SIZE, THUMBNAIL_SIZE), quality=75)
