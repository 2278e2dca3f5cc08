"""What of a peer's own words may stand in a report: those that are known, and nobody's. Whatever else a peer writes, a
version name, a header, a path, may hold a patient's name by accident or by design, and is shown as three asterisks."""

import re
from typing import Final

from leadglass.assess.probes.dimse_product import root_of

HIDDEN: Final = "***"
#: A version beside a known name. Seven digits at most: no room for a Social Security number or a birth date.
_VERSION: Final = r"\d{1,3}(?:\.\d{1,2}){0,2}(?![\d.])"
_IMPLEMENTATION: Final = re.compile(
    r"(?:OFFIS_DCMTK|DCM4CHEE?|PYNETDICOM|FO-DICOM|GODICOM|ORTHANC|CONQUEST|CLEARCANVAS|DICOOGLE|LEADGLASS|MERGECOM3"
    rf"|GDCM|OSIRIX|HOROS|WEASIS)(?:[ _-]?{_VERSION}[A-Z]{{0,2}})?",
    re.IGNORECASE,
)
_SERVERS: Final = re.compile(
    r"\b(?:nginx|Apache(?:-Coyote)?|Microsoft-IIS|Microsoft-HTTPAPI|lighttpd|Caddy|Jetty|Tomcat|WildFly|Undertow|JBoss-EAP"
    r"|Kestrel|gunicorn|uvicorn|hypercorn|waitress|Werkzeug|SimpleHTTP|BaseHTTP|WSGIServer|Python|CherryPy|TornadoServer"
    rf"|Mongoose|openresty|Express|GoAhead|Boa|thttpd|Orthanc)\b(?:/{_VERSION})?",
    re.IGNORECASE,
)
_MEDIA_TYPES: Final = frozenset(
    {
        "application/dicom",
        "application/dicom+json",
        "application/dicom+xml",
        "application/json",
        "application/octet-stream",
        "application/pdf",
        "application/problem+json",
        "application/xhtml+xml",
        "application/xml",
        "application/zip",
        "image/jpeg",
        "image/png",
        "multipart/related",
        "text/html",
        "text/plain",
        "text/xml",
    }
)
_SCHEMES: Final = re.compile(r"\b(?:Basic|Digest|Bearer|Negotiate|NTLM)\b", re.IGNORECASE)
#: RFC 7234 5.5; 299 is what PS3.18 8.3.4.4 has servers say when they cap.
_WARNING: Final = re.compile(r"(?:11[0-3]|199|214|299)\b")


def implementation_version(name: str) -> str:
    """An implementation version name (PS3.7 D.3.3.2) that products are known to say."""
    return name if _IMPLEMENTATION.fullmatch(name) or not name else HIDDEN


def implementation_class(uid: str) -> str:
    """Of an implementation class UID the root that a known vendor has; what follows it is the vendor's to choose."""
    root = root_of(uid)
    if not uid or uid == root:
        return uid
    return f"{root}.{HIDDEN}" if root else HIDDEN


def server(header: str) -> str:
    """The web servers and versions that a Server header names."""
    return " ".join(_SERVERS.findall(header)) or (HIDDEN if header else "")


def media_type(header: str) -> str:
    kind = header.split(";")[0].strip().lower()
    return kind if kind in _MEDIA_TYPES or not kind else HIDDEN


def challenge(header: str) -> str:
    """The authentication schemes of a WWW-Authenticate header, without realms."""
    return ", ".join(_SCHEMES.findall(header)) or (HIDDEN if header else "")


def warning(header: str) -> str:
    found = _WARNING.match(header)
    return found[0] if found else HIDDEN if header else ""
