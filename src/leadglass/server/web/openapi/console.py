"""The console, sign-in and what watches the door: pages, and the forms in them."""

from collections.abc import Mapping
from typing import Final

from leadglass.archive.devices import DEVICE_ROLES
from leadglass.archive.users import USER_ROLES
from leadglass.server.web.console.search import MODALITIES, PERIODS
from leadglass.server.web.console.tokens import PURPOSES
from leadglass.server.web.openapi.operation import (
    ANY_TEXT,
    DAY,
    HTML,
    JSON,
    OBJECT,
    SECRET,
    TEXT,
    Operation,
    Schema,
    fields,
    form,
    many,
    one_of,
    page,
    press,
)

_STUDIES: Final = "Studies"
_DECISIONS: Final = "Decisions"
_ADMINISTRATION: Final = "Administration"
_SIGN_IN: Final = "Signing in"
_WATCHING: Final = "Watching"

_PAGE: Final[Schema] = {"type": "string", "maxLength": 9}
_CODE: Final[Schema] = {"type": "string", "maxLength": 16}
_STATE: Final[Schema] = {"type": "string"}
_USER_ROLES: Final = many(one_of(*(role.value for role in USER_ROLES)))
_DEVICE_ROLES: Final = many(one_of(*(role.value for role in DEVICE_ROLES)))

STUDIES: Final[Mapping[str, Operation]] = {
    "GET /": Operation(_STUDIES, "Where a role's work begins.", {303: ()}),
    "GET /studies": page(_STUDIES, "The newest studies that one may see."),
    "POST /studies": form(
        _STUDIES,
        "Search; in a body, since an address would name patients in a browser's history.",
        then=200,
        _text=TEXT,
        _period=one_of("", "between", *PERIODS),
        _first=DAY,
        _last=DAY,
        _modality=one_of("", *MODALITIES),
        _description=TEXT,
        _page=_PAGE,
    ),
    "GET /studies/{study}": page(_STUDIES, "One study: series, shares, who has looked.", 404),
    "POST /studies/{study}/shares": form(
        _STUDIES, "Share it with a named user until the end of a day.", 404, user=TEXT, until=DAY
    ),
    "POST /studies/{study}/shares/{share}/end": press(_STUDIES, "End a share.", 404),
    "GET /studies/{study}/download": Operation(
        _STUDIES, "The study as a ZIP with a DICOMDIR.", {200: ("application/zip",)}, (400, 404)
    ),
    "GET /upload": page(_STUDIES, "Where files are dropped; they go to `POST /dicom-web/studies`."),
    "GET /access": page(_STUDIES, "Asks for the study of which one wants to know who has looked."),
    "POST /access": form(_STUDIES, "Who has looked at a study.", 404, then=200, study=TEXT),
    "GET /viewer": page(_STUDIES, "The viewer.", 503),
    "GET /viewer/{path}": Operation(
        _STUDIES,
        "A file of the viewer, or the viewer itself where the path has no dot.",
        {200: (HTML, "text/javascript", "text/css", "application/*", "image/*", "font/*"), 304: ()},
        (404, 503),
    ),
}

DECISIONS: Final[Mapping[str, Operation]] = {
    "GET /quarantine": page(
        _DECISIONS,
        "What inspection holds back.",
        400,
        query={"state": _STATE, "sender": ANY_TEXT, "reason": ANY_TEXT, "page": _PAGE},
    ),
    "GET /quarantine/{number}": page(_DECISIONS, "One object that is held back, and why.", 404),
    "POST /quarantine/{number}/release": press(_DECISIONS, "Inspect it once more, and let it in.", 400, 404, 409),
    "POST /quarantine/{number}/destroy": form(_DECISIONS, "Destroy it for good.", 404, typed=TEXT),
    "GET /reviews": page(
        _DECISIONS, "What is kept and not shown until a steward decides.", 400, query={"state": _STATE, "page": _PAGE}
    ),
    "GET /reviews/{number}": page(
        _DECISIONS, "One of them beside what is shown in its place.", 404, query={"frame": TEXT}
    ),
    "GET /reviews/{number}/frames/{frame}/{side}": Operation(
        _DECISIONS, "A frame of one of both sides, or what differs.", {200: ("image/png",)}, (404, 406, 503)
    ),
    "POST /reviews/{number}/accept": press(_DECISIONS, "Show it.", 400, 404),
    "POST /reviews/{number}/reject": press(_DECISIONS, "Never show it.", 400, 404),
}

ADMINISTRATION: Final[Mapping[str, Operation]] = {
    "GET /devices": page(_ADMINISTRATION, "The devices."),
    "POST /devices": form(
        _ADMINISTRATION,
        "Enrol a device by its own certificate.",
        name=TEXT,
        aets=TEXT,
        role=_DEVICE_ROLES,
        certificate=ANY_TEXT,
        _site=TEXT,
        _person=TEXT,
        _issuer=TEXT,
        _destination=TEXT,
    ),
    "GET /devices/{name}": page(_ADMINISTRATION, "One device, and why it does not connect.", 404),
    "POST /devices/{name}/disable": press(_ADMINISTRATION, "Shut it out for good, and end what it does now.", 400, 404),
    "POST /devices/{name}/enable": press(_ADMINISTRATION, "Lift a suspension.", 400, 404),
    "GET /users": page(_ADMINISTRATION, "The users."),
    "POST /users": form(
        _ADMINISTRATION,
        "Add a user; the page shows the link by which it sets up how it signs in.",
        then=200,
        name=TEXT,
        role=_USER_ROLES,
        _person=TEXT,
        _site=TEXT,
    ),
    "POST /users/{name}/disable": press(_ADMINISTRATION, "End all that a user has, for good.", 404),
    "POST /users/{name}/reset": Operation(
        _ADMINISTRATION, "Forget what a user signs in with, and make a link.", {200: (HTML,), 303: ()}, (400, 404)
    ),
    "GET /tokens": page(_ADMINISTRATION, "The bearer tokens, by name."),
    "POST /tokens": form(
        _ADMINISTRATION,
        "Make a bearer token; the page shows it this once.",
        then=200,
        user=TEXT,
        until=DAY,
        _role=one_of("", *(role.value for role in USER_ROLES)),
        _purpose=one_of(*PURPOSES),
    ),
    "POST /tokens/{name}/revoke": press(_ADMINISTRATION, "End a token at once.", 404),
}

_NEXT: Final[Mapping[str, Schema]] = {"next": ANY_TEXT}
_AUTHENTICATOR: Final[Mapping[str, Schema]] = {JSON: OBJECT}
_ONWARD: Final[Mapping[int, tuple[str, ...]]] = {200: (JSON,)}

SIGN_IN: Final[Mapping[str, Operation]] = {
    "GET /sign-in": page(_SIGN_IN, "The ways to sign in.", query=_NEXT, public=True),
    "POST /sign-in": form(
        _SIGN_IN,
        "Password and one-time code.",
        429,
        public=True,
        name=TEXT,
        password=SECRET,
        _code=_CODE,
        _next=ANY_TEXT,
    ),
    "GET /sign-in/code": page(_SIGN_IN, "The first one-time code: what the app scans.", public=True),
    "POST /sign-in/code": form(_SIGN_IN, "The first one-time code.", 429, public=True, code=_CODE),
    "GET /sign-in/role": page(_SIGN_IN, "The roles to choose one of.", public=True),
    "POST /sign-in/role": form(_SIGN_IN, "The one role of the session.", public=True, role=TEXT),
    "GET /sign-in/again": page(_SIGN_IN, "Asks for a fresh proof.", query=_NEXT),
    "POST /sign-in/again": form(
        _SIGN_IN, "A fresh proof by password and code.", 429, password=SECRET, code=_CODE, _next=ANY_TEXT
    ),
    "POST /sign-in/passkey/options": Operation(
        _SIGN_IN, "What an authenticator is to sign (WebAuthn).", _ONWARD, (400,), public=True
    ),
    "POST /sign-in/passkey": Operation(
        _SIGN_IN, "An authenticator's answer.", _ONWARD, (400, 429), _AUTHENTICATOR, public=True
    ),
    "POST /sign-in/again/passkey": Operation(
        _SIGN_IN, "A fresh proof by passkey.", _ONWARD, (400, 429), _AUTHENTICATOR
    ),
    "GET /sign-in/provider": Operation(
        _SIGN_IN, "On to the OpenID provider.", {303: ()}, (503,), query={**_NEXT, "again": ANY_TEXT}, public=True
    ),
    "GET /sign-in/provider/back": page(_SIGN_IN, "Back from the OpenID provider.", 400, 503, public=True),
    "GET /sign-in/provider/out": page(
        _SIGN_IN, "Signed out here; a link to do so at the OpenID provider.", public=True
    ),
    "POST /sign-out": Operation(_SIGN_IN, "End the session.", {303: ()}),
    "GET /setup": page(_SIGN_IN, "Behind a link: asks for its secret, which the fragment holds.", public=True),
    "POST /setup": form(_SIGN_IN, "The secret of a link.", 429, public=True, token=SECRET),
    "GET /setup/choose": page(_SIGN_IN, "Password and code, or a passkey.", 429, public=True),
    "POST /setup/password": form(
        _SIGN_IN, "Set up password and code.", public=True, password=SECRET, repeated=SECRET, code=_CODE
    ),
    "POST /setup/passkey/options": Operation(
        _SIGN_IN, "What an authenticator is to make (WebAuthn).", _ONWARD, (400, 429), public=True
    ),
    "POST /setup/passkey": Operation(
        _SIGN_IN, "The passkey that was made.", _ONWARD, (400,), _AUTHENTICATOR, public=True
    ),
}

WATCHING: Final[Mapping[str, Operation]] = {
    "GET /healthz": Operation(_WATCHING, "Whether the archive is well.", {200: (JSON,)}, (503,), public=True),
    "GET /metrics": Operation(_WATCHING, "Numbers for Prometheus.", {200: ("text/plain",)}),
    "GET /openapi.json": Operation(_WATCHING, "This document.", {200: (JSON,)}),
    "GET /static/{name}": Operation(
        _WATCHING,
        "Style sheet, scripts, pictures and font of the console.",
        {200: ("text/css", "text/javascript", "image/svg+xml", "font/woff2", "text/plain"), 304: ()},
        (404,),
        query={"v": TEXT},
        public=True,
    ),
}

OPERATIONS: Final[Mapping[str, Operation]] = {**STUDIES, **DECISIONS, **ADMINISTRATION, **SIGN_IN, **WATCHING}

#: What every refusal says to a program; to a person it is a page.
PROBLEM: Final = fields(error=ANY_TEXT, remedy=ANY_TEXT)
