"""The OpenAPI document says what the door does: Schemathesis makes requests of it, in and out of its bounds, and holds
the answers against it."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode
from schemathesis.schemas import BaseSchema

from leadglass.crypto.keys import KeyFile
from leadglass.server.web.openapi.document import OPERATIONS
from leadglass.server.web.signin.cookies import SESSION
from tests.clients import ROOT, ct, store
from tests.served import Served
from tests.server.web.people import enrolled, page_of
from tests.web import as_user

#: For each part of the document somebody who may do what is in it; elsewhere a steward, who may most.
ROLES = {"Administration": "administrator", "Watching": "auditor"}
#: Both are about what a schema cannot say: which users, studies and days there are.
LEFT_OUT = ("positive_data_acceptance", "negative_data_rejection")
#: There where a provider is configured (test_provider.py); and what would end the session that asks (test_signin.py).
ELSEWHERE = {"GET /sign-in/provider", "GET /sign-in/provider/back", "GET /sign-in/provider/out", "POST /sign-out"}
QUIET = list(HealthCheck)
#: What half of the requests ask for.
THERE = {"study": f"{ROOT}.78", "series": f"{ROOT}.78.1", "instance": f"{ROOT}.78.1.1", "frames": "1"}


def test_every_operation_is_described_and_nothing_else(archive: Served) -> None:
    with as_user(archive, "auditor") as client:
        document = client.get("/openapi.json").json()
    shown = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert shown == {key for key in OPERATIONS if not key.startswith("GET /sign-in/provider")}


def test_it_is_not_for_strangers(archive: Served) -> None:
    with page_of(archive) as stranger:
        assert stranger.get("/openapi.json", headers={"Accept": "*/*"}).status_code == 401


@schemathesis.serializer("multipart/related", "application/dicom")  # type: ignore[untyped-decorator]
def serialized(_: schemathesis.SerializationContext, value: object) -> bytes:
    """A body as it was made: bytes that mostly are nothing that could be stored."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def people(archive: Served) -> Iterator[dict[str, dict[str, str]]]:
    """By role: the headers of somebody who has just signed in, in a page of ours."""
    store(archive, ct(study=THERE["study"], series=THERE["series"], instance=THERE["instance"]))
    found: dict[str, dict[str, str]] = {}
    for role in ("steward", *ROLES.values()):
        with page_of(archive) as client:
            assert enrolled(archive, f"s-{role}", role).sign_in(client).status_code == 303
            cookie = f"{SESSION}={client.cookies[SESSION]}"
            found[role] = {"Cookie": cookie, "Origin": str(client.base_url), "Sec-Fetch-Site": "same-origin"}
    yield found


@pytest.fixture(scope="module")
def described(archive: Served) -> BaseSchema:
    with as_user(archive, "auditor") as client:
        document: dict[str, Any] = client.get("/openapi.json").json()
    load_all_checks()
    return schemathesis.openapi.from_dict(document)


@pytest.mark.parametrize("key", sorted(OPERATIONS.keys() - ELSEWHERE))
def test_the_door_does_what_the_document_says(
    archive: Served, described: BaseSchema, people: dict[str, dict[str, str]], key: str
) -> None:
    method, path = key.split(" ")
    operation = described[path][method]
    headers = people[ROLES.get(OPERATIONS[key].tag, "steward")]

    within, outside = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @given(within | outside, st.booleans())
    @settings(max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=QUIET)
    def ask(case: schemathesis.Case, is_there: bool) -> None:
        if is_there:
            case.path_parameters.update({name: THERE[name] for name in case.path_parameters.keys() & THERE.keys()})
        case.call_and_validate(
            base_url=f"https://localhost:{archive.https_port}",
            headers=headers,
            verify=str(archive.keys / KeyFile.CA_CERTIFICATE),
            excluded_checks=CHECKS.get_by_names(list(LEFT_OUT)),
        )

    ask()
