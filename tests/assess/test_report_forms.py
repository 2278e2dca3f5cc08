"""The forms of a report: valid by their own schemas, harmless whatever peers say, and all telling the same."""

import csv as plain_csv
import io
import json as plain_json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.resources import as_file, files
from urllib.parse import urlsplit

import jsonschema
import pytest
import typst
from rich.console import Console

from leadglass.assess.baseline import Baseline
from leadglass.assess.observation import Bound, Counters, Observation, ObservationKind
from leadglass.assess.report import csv, html, json, pdf, sarif, terminal
from leadglass.assess.report.model import FormerFinding, Report
from leadglass.assess.report.page import page
from leadglass.assess.rules import RULES
from tests.assess.reports import EVIL, door, exchange, host, hosts, numbers, report, seen

#: What the report of an organisation without doors, one with everything, and one compared with another look like.
REPORTS = {
    "nothing": report(()),
    "everything": report(organisation=EVIL),
    "compared": report(
        baseline=Baseline(
            "cd" * 32,
            (
                FormerFinding("a" * 32, "tls-weak", "Outdated", "low", 2.3, hosts()[1].services[0].endpoint, ""),
                FormerFinding("b" * 32, "ftp-anonymous", EVIL, "medium", 6.9, hosts()[1].services[0].endpoint, EVIL),
            ),
        )
    ),
}
EACH = pytest.mark.parametrize("each", REPORTS.values(), ids=REPORTS)


@EACH
def test_json_keeps_to_its_schema(each: Report) -> None:
    jsonschema.Draft202012Validator.check_schema(json.schema())
    written = plain_json.loads(json.render(each))
    jsonschema.Draft202012Validator(json.schema()).validate(written)
    assert written == json.document(each)


def test_evidence_is_told_once_and_found_by_its_digest() -> None:
    """A thousand equal doors: what was said at each is the same."""
    doors = tuple(door(port, "ftp", seen(ObservationKind.FTP_ANONYMOUS)) for port in range(1, 1_001))
    written = plain_json.loads(json.render(report((host(*doors),))))
    named = {each["sha256"] for finding in written["findings"] for each in finding["evidence"]}
    assert len(written["findings"]) == 1_000
    assert [each["sha256"] for each in written["evidence"]] == list(named)
    assert "sent" not in written["findings"][0]["evidence"][0]


@EACH
def test_every_digest_leads_to_evidence(each: Report) -> None:
    document = json.document(each)
    listed = [entry["sha256"] for entry in document["evidence"]]
    services = [service for found in document["hosts"] for service in found["services"]]
    named = {digest for service in services for seen in service["observations"] for digest in seen["evidence"]}
    named |= {entry["sha256"] for finding in document["findings"] for entry in finding["evidence"]}
    assert sorted(listed) == sorted(named)


def test_the_schema_refuses_what_a_report_must_not_hold() -> None:
    validator = jsonschema.Draft202012Validator(json.schema())
    document = json.document(REPORTS["everything"])
    changes: tuple[dict[str, object], ...] = ({"patients": ["Doe^Jane"]}, {"version": 1}, {"totals": {}})
    for change in changes:
        assert not validator.is_valid({**document, **change})
    finding = {**document["findings"][0], "evidence": []}
    assert not validator.is_valid({**document, "findings": [finding]})


def test_totals_and_counters_carry_their_bounds() -> None:
    document = json.document(REPORTS["everything"])
    assert document["totals"]["studies"] == {"value": 220, "bound": "lower"}
    assert document["hosts"][0]["counters"]["images_proven"] == {"value": 5, "bound": "exact"}
    assert list(document["totals"]) == [
        "studies",
        "patients",
        "series",
        "images_advertised",
        "images_indicated",
        "images_proven",
        "ssns_formatted",
        "ssns_bare",
    ]


def test_evidence_is_text_or_hex_and_long_parts_are_cut() -> None:
    assert json.shown(b"GET /\r\n") == {"encoding": "text", "value": "GET /\r\n", "bytes": 7}
    assert json.shown(b"\x02\x00") == {"encoding": "hex", "value": "0200", "bytes": 2}
    long = json.shown(b"a" * 1_000_000)
    assert (len(long["value"]), long["bytes"]) == (16_384, 1_000_000)


@EACH
def test_sarif_has_what_the_standard_asks_for(each: Report) -> None:
    log = plain_json.loads(sarif.render(each))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "leadglass"
    assert [rule["id"] for rule in driver["rules"]] == [rule.kind for rule in RULES]
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"].endswith(".")
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
        assert 0 <= rule["defaultConfiguration"]["rank"] <= 100
        assert 0 <= float(rule["properties"]["security-severity"]) <= 10
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["level"] in ("error", "warning", "note", "none")
        # 3.27.9: a result of another kind than `fail` has no level.
        assert result["level"] == "none" if result.get("kind", "fail") != "fail" else result["level"] != "none"
        assert re.fullmatch(r"[0-9a-f]{32}", result["partialFingerprints"]["leadglass/finding/1"])
        (location,) = result["locations"]
        assert urlsplit(location["physicalLocation"]["artifactLocation"]["uri"]).port
        assert result.get("baselineState") in (None, "new", "unchanged", "absent")
        assert ("baselineState" in result) is (each.changes is not None)
    (invocation,) = run["invocations"]
    for name in ("startTimeUtc", "endTimeUtc"):
        assert datetime.strptime(invocation[name], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def test_sarif_tells_the_severity_and_what_is_fixed() -> None:
    (run,) = plain_json.loads(sarif.render(REPORTS["compared"]))["runs"]
    absent = [each["ruleId"] for each in run["results"] if each["baselineState"] == "absent"]
    assert absent == ["tls-weak", "ftp-anonymous"]
    assert {each["level"] for each in run["results"]} == {"error", "warning", "note", "none"}


@EACH
def test_csv_is_one_line_a_finding_and_no_cell_is_a_formula(each: Report) -> None:
    content = csv.render(each)
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(plain_csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert len(rows) == 1 + len(each.findings)
    assert {len(row) for row in rows} == {23}
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n="])
def test_a_product_that_is_a_formula_is_quoted(start: str) -> None:
    bad = door(21, "ftp", seen(ObservationKind.FTP_ANONYMOUS), product=f"{start}1+1")
    content = csv.render(report((host(bad),))).decode("utf-8-sig")
    (row,) = plain_csv.DictReader(io.StringIO(content, newline=""))
    assert row["product"] == f"'{start}1+1"


class _Page(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += ((name, value or "") for name, value in attrs)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@EACH
def test_html_is_one_page_that_runs_and_fetches_nothing(each: Report) -> None:
    text = html.render(each).decode()
    parsed = _Page(text)
    assert not {"script", "link", "iframe", "img", "object", "embed", "form", "base"} & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or name in ("src", "href", "action")]
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|https?://", text.replace(EVIL, ""))
    assert parsed.tags.count("svg") >= 3 or not each.findings


def test_html_shows_what_peers_say_as_text() -> None:
    parsed = _Page(html.render(REPORTS["everything"]).decode())
    assert any("<script>alert(1)</script>" in each for each in parsed.text)
    assert not any("49" in each and "7*7" not in each and EVIL[:5] in each for each in parsed.text)


def test_html_has_both_colour_schemes_and_an_order_for_readers() -> None:
    text = html.render(REPORTS["everything"]).decode()
    assert "prefers-color-scheme: dark" in text
    assert text.index("What to do first") < text.index("What the rules ask now") < text.index(">Findings<")
    assert "22 January 2027" in text  # 60 days after the assessment, 45 CFR 164.404(b)


@EACH
def test_pdf_is_made_without_fonts_of_the_system(each: Report) -> None:
    content = pdf.render(each)
    assert content.startswith(b"%PDF-1.")
    assert content.endswith(b"%%EOF\n")
    assert content == pdf.render(each), "the same report gives the same bytes"


def _crowded() -> Report:
    """Long names, every product its own, and a hundred doors of each."""
    name = "A hospital with quite a long name indeed, and its affiliated clinics in seven counties " * 3
    kind = ObservationKind.DIMSE_ACCEPTED
    doors = [
        door(
            port, "dicom", seen(kind, {"tls": "none"}), product=f"Product {port % 9} " * 6, counters=numbers(9, 9, 9, 9)
        )
        for port in range(1, 900)
    ]
    return report((host(*doors),), organisation=name)


@pytest.mark.parametrize("each", [*REPORTS.values(), _crowded()], ids=[*REPORTS, "crowded"])
def test_whoever_decides_has_one_page(each: Report) -> None:
    with as_file(files("leadglass.assess.report").joinpath("templates")) as folder:
        told = typst.query(
            folder / "report.typ", "<repairs>", root=folder, sys_inputs={"page": pdf.values(each).decode()}
        )
    (mark,) = plain_json.loads(told)
    assert mark["value"] == 2


@EACH
def test_the_terminal_gets_no_orders(each: Report) -> None:
    written = io.StringIO()
    terminal.show(each, Console(file=written, width=100, force_terminal=False))
    text = written.getvalue()
    assert "\x1b" not in text
    assert each.verdict.split(":")[0] in " ".join(text.split())
    assert f"signing key {each.key.fingerprint}" in text


def _summary(each: Report) -> str:
    written = io.StringIO()
    terminal.show(each, Console(file=written, width=100))
    return written.getvalue()


def test_a_summary_tells_a_weakness_once_for_all_doors_of_a_product() -> None:
    many = tuple(door(port, "ftp", seen(ObservationKind.FTP_ANONYMOUS)) for port in range(1, 60))
    text = _summary(report((host(*many),)))
    assert text.count("Anonymous login to FTP") == 1
    assert "192.0.2.1:1 and 58 more" in text


def test_a_long_summary_says_what_it_leaves_out() -> None:
    many = tuple(
        door(port, "ftp", seen(ObservationKind.FTP_ANONYMOUS), product=f"Server {port}", unknowns=(f"matter {port}",))
        for port in range(1, 60)
    )
    text = _summary(report((host(*many),)))
    assert "and 39 more findings" in text
    assert "and 39 more unknown matters" in text


@pytest.mark.parametrize(
    ("counters", "kinds", "verdict"),
    [
        (numbers(5, 4, 3, 200, 200, 5), (), "Anyone can take images: 200 are listed, and samples"),
        (numbers(5, bound=Bound.LOWER), (), "Anyone can read patients’ records: at least 5 studies."),
        (numbers(), (ObservationKind.WEB_PLAINTEXT,), "Doors stand open that must be closed"),
        (numbers(), (ObservationKind.FTP_ANONYMOUS,), "No patient’s record was seen. A few weaknesses"),
        (numbers(), (), "Nothing to report"),
    ],
)
def test_the_verdict_fits_what_was_found(counters: Counters, kinds: tuple[ObservationKind, ...], verdict: str) -> None:
    looked_at = door(80, "http", *(seen(kind) for kind in kinds), counters=counters)
    assert report((host(looked_at),)).verdict.startswith(verdict)


def test_what_stays_unknown_is_never_called_safe() -> None:
    unknown = report((host(door(80, "http", unknowns=("it stopped answering",))),))
    assert "not everything could be looked at" in unknown.verdict
    assert page(unknown)["tone"] == "warn"
    assert "it stopped answering" in html.render(unknown).decode()


def test_pages_show_binary_evidence_as_a_dump_of_bounded_length() -> None:
    long = Observation(ObservationKind.FTP_ANONYMOUS, {}, (exchange(received=bytes(range(256)) * 100),))
    (finding,) = page(report((host(door(21, "ftp", long)),)))["findings"]
    lines = finding["evidence"][0]["received"].splitlines()
    assert lines[0] == "0000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  " + "·" * 16
    assert (len(lines), lines[-1]) == (25, "…")


def test_a_report_of_thousands_of_findings_is_still_a_document() -> None:
    doors = tuple(door(port, "ftp", seen(ObservationKind.FTP_ANONYMOUS)) for port in range(1, 2_001))
    big = report((host(*doors),))
    assert len(big.findings) == 2_000
    assert len(pdf.render(big)) < 2_000_000
    assert html.render(big).count(b"<article") == 2_000
