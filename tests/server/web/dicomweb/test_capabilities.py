"""OPTIONS (PS3.18 8.9): what the service says that it does."""

from collections.abc import Iterator
from xml.etree.ElementTree import fromstring

import httpx
import pytest

from tests.served import Served
from tests.web import as_user

WADL = "{http://wadl.dev.java.net/2009/02}"


@pytest.fixture(scope="module")
def client(archive: Served) -> Iterator[httpx.Client]:
    with as_user(archive, "clinician") as client:
        yield client


@pytest.mark.parametrize("path", ["/dicom-web", "/dicom-web/"])
def test_the_service_describes_itself(client: httpx.Client, path: str) -> None:
    answer = client.options(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.sun.wadl+xml"
    (resources,) = fromstring(answer.text)  # noqa: S314 - ours
    assert resources.get("base") == f"{client.base_url}/dicom-web"
    found = resources.findall(f"{WADL}resource[@path='studies']")
    assert [method.get("name") for method in found[0].findall(f"{WADL}method")] == ["GET", "HEAD", "POST"]
    below = found[0].find(f"{WADL}resource[@path='{{study}}']/{WADL}resource[@path='metadata']/{WADL}method/")
    assert below is not None
    assert "application/dicom+json" in answer.text


def test_a_resource_describes_itself_and_what_is_below(client: httpx.Client) -> None:
    answer = client.options("/dicom-web/studies/1.2.3/series")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    text = answer.text
    assert "frames" in text
    assert "StoreInstances" not in text


def test_wrong_requests(archive: Served, client: httpx.Client) -> None:
    for path in ("/dicom-web", "/dicom-web/nothing"):
        assert client.get(path).status_code == 404
    assert client.put("/dicom-web/studies").status_code == 405
    assert client.options("/dicom-web/nothing").status_code == 404
    assert client.options("/dicom-web", headers={"accept": "image/png"}).status_code == 406
    stranger = httpx.options(client.base_url.join("/dicom-web"), verify=False)  # noqa: S501
    assert stranger.status_code == 401
