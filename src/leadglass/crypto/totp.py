"""Time-based one-time passwords (RFC 6238): six digits, 30 seconds, SHA-1 as every authenticator app does."""

import hmac

import pyotp

from leadglass.errors import VerificationFailed

STEP_SECONDS = 30
#: Steps before and after now, for clocks that are a little off (RFC 6238 5.2).
WINDOW = 1
ISSUER = "Leadglass"


def new_secret() -> str:
    """160 random bits in base32 (RFC 4226 4, R6)."""
    return pyotp.random_base32()


def matching_step(secret: str, code: str, now_seconds: int) -> int:
    """The time step that `code` belongs to; a caller takes each step once. Raises VerificationFailed."""
    totp = pyotp.TOTP(secret, interval=STEP_SECONDS)
    current = now_seconds // STEP_SECONDS
    plain = code.replace(" ", "").encode()
    # Every candidate is compared, so that time tells nothing.
    steps = [
        step
        for step in range(current - WINDOW, current + WINDOW + 1)
        if hmac.compare_digest(totp.generate_otp(step).encode(), plain)
    ]
    if not steps:
        raise VerificationFailed("The code is wrong.")
    return steps[-1]


def provisioning_uri(secret: str, name: str, place: str) -> str:
    """What authenticator apps read from a QR code. `place` tells several archives apart."""
    return pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=name, issuer_name=f"{ISSUER} {place}")
