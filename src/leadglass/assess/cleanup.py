"""What a write test over DICOM left behind, deleted through another door of the same host where that stands open: DIMSE
itself has no way to delete an instance. Nothing else is ever asked to be deleted."""

from collections.abc import Iterable
from dataclasses import replace

from leadglass.assess.observation import Observation, ObservationKind, ServiceResult
from leadglass.assess.probes.dimse_write import is_ours
from leadglass.assess.probes.tls import StrangerTls
from leadglass.assess.probes.web_client import WebWay
from leadglass.assess.probes.web_write import orthanc_identifier
from leadglass.assess.reach import Reach
from leadglass.assess.sentences import text
from leadglass.errors import FormatError, NotAvailable

_DONE = 200


def clean_up(reach: Reach, tls: StrangerTls, services: Iterable[ServiceResult]) -> tuple[ServiceResult, ...]:
    """The services of one host, with `deleted` set to `yes` where what was stored is gone."""
    every = tuple(services)
    doors = [
        WebWay(reach, each.endpoint, tls.anonymous if each.protocol == "https" else None)
        for each in every
        if any(map(_is_open_orthanc, each.observations))
    ]
    return tuple(
        replace(each, observations=tuple(_cleaned(seen, doors) for seen in each.observations)) for each in every
    )


def _is_open_orthanc(seen: Observation) -> bool:
    return (
        seen.kind is ObservationKind.WEB_SERVICE
        and seen.facts.get("interface") == "orthanc"
        and seen.facts.get("access") == "open"
    )


def _cleaned(seen: Observation, doors: Iterable[WebWay]) -> Observation:
    study, instance = text(seen.facts, "study"), text(seen.facts, "sop_instance")
    if seen.kind is not ObservationKind.DIMSE_STORE_CONFIRMED or not is_ours(study):
        return seen
    path = f"/instances/{orthanc_identifier(study, instance)}"
    if not any(_is_deleted(way, path) for way in doors):
        return seen
    return replace(seen, facts={**seen.facts, "deleted": "yes"})


def _is_deleted(way: WebWay, path: str) -> bool:
    try:
        with way.ask(path, method="DELETE") as answer:
            return answer.status == _DONE
    except (NotAvailable, FormatError):
        return False
