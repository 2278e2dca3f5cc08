"""What is on the screen: a viewport's canvas as grey levels, and whether it is the picture that it should be."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page

Grey = NDArray[np.float64]
#: Of the canvas, without the notes that the viewer writes along its edges.
MIDDLE = 0.72
SIZE = 96


def canvas(page: Page, index: int = 0) -> Locator:
    return page.locator("canvas.cornerstone-canvas").nth(index)


def shown(page: Page, index: int = 0) -> Grey:
    """The middle of a canvas, SIZE x SIZE, 0 to 1."""
    data = str(canvas(page, index).evaluate("canvas => canvas.toDataURL('image/png')"))
    picture = Image.open(BytesIO(base64.b64decode(data.partition(",")[2]))).convert("L")
    side = int(min(picture.size) * MIDDLE)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side)).resize((SIZE, SIZE))
    return np.asarray(square, dtype=np.float64) / 255


def colours(page: Page) -> float:
    """How far a canvas is from grey: the mean distance between its channels, 0 to 1."""
    data = str(canvas(page).evaluate("canvas => canvas.toDataURL('image/png')"))
    picture = np.asarray(Image.open(BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGB"), dtype=np.float64)
    return float((picture.max(axis=2) - picture.min(axis=2)).mean() / 255)


def paper(element: Locator) -> float:
    """How much of an element is white, 0 to 1: the viewer itself is dark."""
    picture = np.asarray(Image.open(BytesIO(element.screenshot())).convert("L"))
    return float((picture == 255).mean())


def expected(pixels: NDArray[Any], low: float, high: float) -> Grey:
    """What a viewport of equal scale shows of an image that fills its height, under a window."""
    levels = np.clip((pixels.astype(np.float64) - low) / (high - low), 0, 1)
    picture = Image.fromarray((levels * 255).astype(np.uint8))
    side = int(min(picture.size) * MIDDLE)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side)).resize((SIZE, SIZE))
    return np.asarray(square, dtype=np.float64) / 255


def likeness(one: Grey, other: Grey) -> float:
    """Correlation: 1 for the same picture, near 0 for another or an empty one."""
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
