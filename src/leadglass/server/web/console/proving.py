"""Grants ask for a fresh proof of who one is. What was typed travels to it and back in the address: names of users,
roles, days, certificates; nothing about patients and no secret."""

from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from leadglass.server.web.console.forms import Form


def prove_again(back: str, form: Form | None = None) -> Response:
    """To the page that asks for the proof, and from there `back`."""
    typed = urlencode(form.pairs()) if form else ""
    return RedirectResponse(f"/sign-in/again?{urlencode({'next': f'{back}?{typed}' if typed else back})}", 303)


def typed_before(request: Request, otherwise: Mapping[str, str]) -> Form:
    """What a form held when it was sent too late, else what it begins with."""
    return Form(request.query_params.multi_items() or list(otherwise.items()))
