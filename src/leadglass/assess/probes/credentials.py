"""Passwords that products are delivered with, tried once each and only where the scope allows it. They stand in the
vendors' own documentation; whether they still work is what the owner wants to know."""

import base64
from dataclasses import dataclass, replace
from typing import Final

from leadglass.assess.observation import Exchange, Fact, Observation, ObservationKind
from leadglass.assess.probes.web_client import WebWay


@dataclass(frozen=True, slots=True)
class Delivered:
    """A user and password as delivered. `form`: the path that takes both in its query; "": HTTP Basic (RFC 7617)."""

    product: str
    user: str
    password: str
    form: str = ""


DELIVERED: Final = (
    Delivered("Orthanc", "orthanc", "orthanc"),
    Delivered("Dicoogle", "dicoogle", "dicoogle", "/login"),
)
_PROTECTED: Final = {"Orthanc": "/system"}


@dataclass(frozen=True, slots=True)
class Trial:
    """`way`: with the credentials, if they were accepted and later requests can carry them."""

    accepted: bool
    way: WebWay | None
    observation: Observation


def try_delivered(way: WebWay, product: str) -> Trial | None:
    """One try with what the product is delivered with; None if nothing is known. Raises as `WebWay.ask`."""
    known = next((each for each in DELIVERED if product.startswith(each.product)), None)
    if known is None:
        return None
    if known.form:
        return _by_form(way, known)
    pair = base64.b64encode(f"{known.user}:{known.password}".encode()).decode("ascii")
    signed_in = replace(way, authorization=f"Basic {pair}")
    with signed_in.ask(_PROTECTED[known.product]) as answer:
        accepted = answer.status == 200
        observation = _observation(known, accepted, answer.exchange("with the delivered password"))
    return Trial(accepted, signed_in if accepted else None, observation)


def _by_form(way: WebWay, known: Delivered) -> Trial:
    target = f"{known.form}?username={known.user}&password={known.password}"
    shown = f"{known.form}?username={known.user}&password=***"
    with way.ask(target, shown=shown, method="POST", accept="application/json") as answer:
        accepted = answer.status == 200 and answer.media_type == "application/json"
        return Trial(accepted, None, _observation(known, accepted, answer.exchange("with the delivered password")))


def _observation(known: Delivered, accepted: bool, exchange: Exchange) -> Observation:
    facts: dict[str, Fact] = {"product": known.product, "user": known.user, "accepted": accepted}
    return Observation(ObservationKind.DEFAULT_CREDENTIALS, facts, (exchange,))
