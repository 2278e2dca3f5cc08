"""The two cookies: a session, and a step on the way to one. Neither is for scripts or for other sites."""

from typing import Literal

from starlette.responses import Response

#: `__Host-`: Secure, no Domain, Path=/ (RFC 6265bis 4.1.3.2), so that no neighbouring host can plant one.
SESSION = "__Host-leadglass"
STEP = "__Host-leadglass-step"


def give(
    response: Response,
    name: str,
    value: str,
    seconds: int | None = None,
    same_site: Literal["lax", "strict"] = "strict",
) -> None:
    """Without `seconds` it ends with the browser's session."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite=same_site)


def take_back(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="strict")
