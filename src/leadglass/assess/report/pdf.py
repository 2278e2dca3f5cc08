"""The report on paper: typst with the fonts that it brings along. What peers said goes in as data, never as markup."""

import json
import subprocess
import sys
from itertools import islice
from typing import Any, Final

from leadglass.assess.report.model import Report
from leadglass.assess.report.page import page
from leadglass.errors import NotAvailable

#: What a person reads on paper: so many findings with evidence and remedy, then one line each; JSON and HTML have all.
_WHOLE: Final = 120
_LISTED: Final = 300
_TYPESET: Final = "leadglass.assess.report.typeset"


def render(report: Report) -> bytes:
    """A PDF that ends in a line break, ready to be signed (sign.py). NotAvailable if it cannot be made."""
    command = [sys.executable, "-m", _TYPESET, str(int(report.assessment.ended.timestamp()))]
    # What the compiler would say of a defect may quote the values.
    done = subprocess.run(command, input=values(report), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if done.returncode:
        raise NotAvailable(f"The PDF could not be made ({done.returncode}).", "The HTML page says the same.")
    return done.stdout.rstrip(b"\r\n") + b"\n"


def values(report: Report) -> bytes:
    """What the template is given."""
    # Surrogates, which a file name may turn into, are no text for typst.
    return json.dumps(_bounded(report), ensure_ascii=False).encode("utf-8", "replace")


def _bounded(report: Report) -> dict[str, Any]:
    """The page without what paper has no room for, and how much that is."""
    shown = page(report)
    findings, hosts, unknowns = (shown[name] for name in ("findings", "hosts", "unknowns"))
    whole = list(islice(findings, _WHOLE))
    further = islice(findings, _LISTED - _WHOLE)
    return {
        **shown,
        "findings": whole,
        "further": [{name: each[name] for name in ("number", "word", "title", "where")} for each in further],
        "hosts": hosts[:_LISTED],
        "unknowns": unknowns[:_LISTED],
        "left_out": {
            "findings": max(0, len(report.findings) - _LISTED),
            "hosts": max(0, len(hosts) - _LISTED),
            "unknowns": max(0, len(unknowns) - _LISTED),
        },
    }
