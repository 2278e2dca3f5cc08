"""The report on paper: typst with the fonts that it brings along. What peers said goes in as data, never as markup."""

import json
from importlib.resources import as_file, files
from typing import Any, Final

import typst

from leadglass.assess.report.model import Report
from leadglass.assess.report.page import page

#: What a person reads on paper: so many findings with evidence and remedy, then one line each; JSON and HTML have all.
_WHOLE: Final = 120
_LISTED: Final = 1_000


TEMPLATES: Final = files("leadglass.assess.report").joinpath("templates")


def render(report: Report) -> bytes:
    """A PDF that ends in a line break, ready to be signed (sign.py)."""
    with as_file(TEMPLATES) as folder:
        document = typst.compile(
            folder / "report.typ",
            root=folder,
            ignore_system_fonts=True,
            sys_inputs=inputs(report),
            timestamp=int(report.assessment.ended.timestamp()),
        )
    return document.rstrip(b"\r\n") + b"\n"


def inputs(report: Report) -> dict[str, str]:
    """What the template is given."""
    # Surrogates, which a file name may turn into, are no text for typst.
    return {"page": json.dumps(_bounded(page(report)), ensure_ascii=False).encode("utf-8", "replace").decode()}


def _bounded(shown: dict[str, Any]) -> dict[str, Any]:
    """The page without what paper has no room for, and how much that is."""
    findings, hosts, unknowns = (shown[name] for name in ("findings", "hosts", "unknowns"))
    further = [{name: each[name] for name in ("number", "word", "title", "where")} for each in findings[_WHOLE:_LISTED]]
    return {
        **shown,
        "findings": findings[:_WHOLE],
        "further": further,
        "hosts": hosts[:_LISTED],
        "unknowns": unknowns[:_LISTED],
        "left_out": {
            "findings": max(0, len(findings) - _LISTED),
            "hosts": max(0, len(hosts) - _LISTED),
            "unknowns": max(0, len(unknowns) - _LISTED),
        },
    }
