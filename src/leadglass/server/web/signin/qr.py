"""The secret of one-time codes as an authenticator app reads it: a QR code that is text of the page, and in letters."""

import io
from dataclasses import dataclass, field

import segno

from leadglass.crypto.totp import provisioning_uri


@dataclass(frozen=True, slots=True)
class ShownCode:
    """`svg` goes into the page as it stands; `letters` are for those who cannot scan it."""

    svg: str = field(repr=False)
    letters: str = field(repr=False)


def shown_code(secret: str, name: str, place: str) -> ShownCode:
    drawn = io.BytesIO()
    code = segno.make(provisioning_uri(secret, name, place), micro=False, error="m")
    code.save(
        drawn, kind="svg", xmldecl=False, svgns=True, scale=4, border=4, dark="#000", light="#fff", omitsize=False
    )
    return ShownCode(drawn.getvalue().decode(), " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)))
