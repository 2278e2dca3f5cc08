"""What answers say of the place where they were asked for."""

from starlette.requests import Request

ROOT = "/dicom-web"
#: The port that clients leave out (RFC 9110 4.2.2).
HTTPS = 443


def service_of(request: Request) -> str:
    """The base URI of the service (PS3.18 8.2) as the client knows it: URLs in answers are absolute."""
    return f"{request.url.scheme}://{request.url.netloc}{ROOT}"


def service(name: str, port: int) -> str:
    """The same for whoever comes to that host name and port by HTTPS."""
    return f"https://{name}{'' if port == HTTPS else f':{port}'}{ROOT}"
