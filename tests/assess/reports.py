"""A whole assessment made by hand: every kind of door, with words in it that must not do anything."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from leadglass.assess.baseline import Baseline, compare
from leadglass.assess.catalogue import findings_of
from leadglass.assess.observation import (
    Assessment,
    Bound,
    Count,
    Counters,
    Endpoint,
    Exchange,
    Fact,
    HostResult,
    Observation,
    ObservationKind,
    ServiceResult,
    total,
)
from leadglass.assess.report.model import Report
from leadglass.crypto.signing import SigningKey, VerifyKey

NOW = datetime(2026, 11, 23, 23, 10, 5, 120_000, tzinfo=UTC)
#: Markup of every form that a report takes, and an order to a terminal.
EVIL = '<script>alert(1)</script> #read("/etc/passwd") {{ 7*7 }} =cmd|x \x1b[2J [bold]'
PDU = bytes.fromhex("020000000046") + b"ORTHANC         LG-STRANGER     " + bytes(range(40))
KEY = SigningKey.generate()


def exchange(summary: str = "GET / → 200", *, received: bytes = b"HTTP/1.1 200\r\n\r\n***") -> Exchange:
    return Exchange(NOW, summary, b"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", received)


def seen(kind: ObservationKind, facts: Mapping[str, Fact] | None = None, *, evidence: bool = True) -> Observation:
    return Observation(kind, facts or {}, (exchange(str(kind)),) if evidence else ())


def numbers(*values: int, bound: Bound = Bound.EXACT) -> Counters:
    return Counters(*(Count(value, bound) for value in values))


def door(
    port: int,
    protocol: str,
    *observations: Observation,
    address: str = "192.0.2.1",
    product: str = "",
    counters: Counters | None = None,
    unknowns: tuple[str, ...] = (),
) -> ServiceResult:
    return ServiceResult(
        Endpoint(address, port),
        protocol,
        product,
        counters or Counters(),
        date(2011, 3, 1),
        date(2026, 11, 20),
        ("PatientName", "PatientID"),
        observations,
        unknowns,
    )


def host(*doors: ServiceResult) -> HostResult:
    counters = doors[0].counters if doors else Counters()
    ports = tuple(each.endpoint.port for each in doors)
    return HostResult(doors[0].endpoint.address, ("pacs.example",), doors, counters, ports)


def hosts() -> tuple[HostResult, ...]:
    kind = ObservationKind
    dimse = door(
        4242,
        "dicom",
        seen(kind.DIMSE_ACCEPTED, {"tls": "none", "called_ae_checked": False, "calling_ae_checked": False}),
        Observation(kind.DIMSE_QUERY, {"tls": "none", "answers": 120}, (Exchange(NOW, "C-FIND", PDU, PDU),)),
        seen(kind.DIMSE_RETRIEVE, {"tls": "none", "proven": 5, "tried": 5}),
        seen(kind.DIMSE_STORE_INDICATED, {"tls": "none", "sop_classes": ("CT Image Storage", "MR Image Storage")}),
        product="Orthanc 1.12.1",
        counters=numbers(120, 40, 300, 9000, 9000, 5, 3, 1),
    )
    web = door(
        8042,
        "http",
        seen(kind.WEB_SERVICE, {"root": "/", "administration": True, "access": "open"}),
        seen(kind.WEB_PLAINTEXT),
        seen(kind.DEFAULT_CREDENTIALS, {"user": "orthanc", "accepted": True}),
        product=EVIL,
        unknowns=(f"something {EVIL}",),
    )
    tls = door(
        2762,
        "dicom-tls",
        seen(kind.TLS_VERSIONS, {"weak_versions": ("TLSv1",), "weak_ciphers": ()}),
        seen(kind.TLS_CLIENT_CERTIFICATE, {"demanded": "no"}),
        seen(kind.USER_IDENTITY, {"outcome": "ignored"}),
        address="192.0.2.2",
        product="dcm4chee-arc 5.31",
        counters=numbers(100, 90, 0, 0, 0, 0, 0, 0, bound=Bound.LOWER),
    )
    return host(dimse, web), host(tls)


def assessment(found: tuple[HostResult, ...] | None = None, organisation: str = "Northfield Hospital") -> Assessment:
    looked_at = hosts() if found is None else found
    totals = total(tuple(each.counters for each in looked_at))
    begun = NOW - timedelta(minutes=7)
    return Assessment(
        organisation, "M. Okafor", "ab" * 32, begun, NOW, looked_at, totals, 254, (104, 4242, 8042), facts={"x": 1}
    )


def report(
    found: tuple[HostResult, ...] | None = None,
    *,
    organisation: str = "Northfield Hospital",
    baseline: Baseline | None = None,
    key: VerifyKey = KEY.public,
) -> Report:
    run = assessment(found, organisation)
    findings = findings_of(run.hosts)
    changes = compare(baseline, findings, run.hosts) if baseline is not None else None
    return Report(run, findings, changes, key)
