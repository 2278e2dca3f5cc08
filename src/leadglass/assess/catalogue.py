"""What was seen, judged: findings from observations by the table in rules.py.

A rule looks at one observation at a time; a finding's evidence is the exchanges of those that it holds for. Without
an exchange there is no evidence, and without evidence there is no finding.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import islice

from leadglass.assess.finding import Finding
from leadglass.assess.observation import Exchange, HostResult, Observation, ObservationKind, ServiceResult
from leadglass.assess.remedies import Aspect, Remedies
from leadglass.assess.rules import RULES, Rule
from leadglass.assess.sentences import Facts, number, text

#: Enough to show it; ten thousand answers prove no more than the first few.
_MOST_EXCHANGES = 6


def findings_of(hosts: Iterable[HostResult], remedies: Remedies | None = None) -> tuple[Finding, ...]:
    """Everything that is wrong, the worst first; findings of equal weight in the table's order, then by address."""
    table = remedies or Remedies.load()
    found = [each for host in hosts for service in _named(host) for each in _of_service(service, table)]
    order = [rule.kind for rule in RULES]

    def weight(each: Finding) -> tuple[float, int, int, int, int, str]:
        address = ip_address(each.endpoint.address)
        kind = order.index(each.kind)
        return -each.severity.score, kind, address.version, int(address), each.endpoint.port, each.locator

    return tuple(sorted(found, key=weight))


def _named(host: HostResult) -> Iterator[ServiceResult]:
    """The host's doors, a DICOM door under the name that a web door gives it: Orthanc, say, where the handshake tells
    only of the toolkit that it is made with."""
    ports = {
        number(each.facts, "dicom_port"): service.product
        for service in host.services
        for each in service.observations
        if each.kind is ObservationKind.WEB_SERVICE
    }
    for service in host.services:
        product = ports.get(service.endpoint.port, "") or service.product
        yield replace(service, product=product) if product != service.product else service


def _of_service(service: ServiceResult, remedies: Remedies) -> Iterator[Finding]:
    for rule in RULES:
        for locator, observations in _grouped(rule, service).items():
            evidence = tuple(islice(_exchanges(observations), _MOST_EXCHANGES))
            if evidence:
                yield _finding(rule, service, locator, observations[0].facts, evidence, remedies)


def _grouped(rule: Rule, service: ServiceResult) -> dict[str, list[Observation]]:
    """The observations that the rule holds for, by where behind the port they were made."""
    groups: dict[str, list[Observation]] = {}
    for each in service.observations:
        if each.kind in rule.observed and rule.applies(service, each.facts):
            groups.setdefault(text(each.facts, "root"), []).append(each)
    return groups


def _exchanges(observations: Iterable[Observation]) -> Iterator[Exchange]:
    return (exchange for each in observations for exchange in each.exchanges)


def _finding(
    rule: Rule,
    service: ServiceResult,
    locator: str,
    facts: Facts,
    evidence: tuple[Exchange, ...],
    remedies: Remedies,
) -> Finding:
    return Finding(
        rule.kind,
        service.endpoint,
        locator,
        service.product,
        rule.title,
        rule.exposure(service, facts),
        rule.severity,
        rule.paragraphs,
        remedies.steps(service.product, _aspect(rule, service)),
        evidence,
    )


def _aspect(rule: Rule, service: ServiceResult) -> Aspect:
    """The cure lies in the door: what a web server needs is of no use to an FTP server."""
    if service.protocol == "ftp":
        return Aspect.FTP
    if rule.web is not None and not service.protocol.startswith("dicom"):
        return rule.web
    return rule.aspect
