"""What answers say of the place where they were asked for."""

from starlette.requests import Request

ROOT = "/dicom-web"


def service_of(request: Request) -> str:
    """The base URI of the service (PS3.18 8.2) as the client knows it: URLs in answers are absolute."""
    return f"{request.url.scheme}://{request.url.netloc}{ROOT}"
