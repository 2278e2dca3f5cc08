"""Re-authentication: who grants a way to see images must have proved who it is a moment ago."""

from leadglass.errors import ProofTooOld
from leadglass.model import Principal

#: How long a proof serves for acts that grant (NIST SP 800-63B 7.2 leaves the number to us).
FRESH_SECONDS = 5 * 60


def require_fresh(principal: Principal, now_us: int) -> None:
    """Raises ProofTooOld. A local user is whom the kernel says at this moment; a token proves possession only."""
    if principal.kind == "user" and now_us - principal.proved > FRESH_SECONDS * 1_000_000:
        raise ProofTooOld("Prove once more who you are before you grant anything.", "Sign in again, then repeat it.")
