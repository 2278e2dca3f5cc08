"""The report on paper: typst with the fonts that it brings along. What peers said goes in as data, never as markup."""

import json
from importlib.resources import as_file, files

import typst

from leadglass.assess.report.model import Report
from leadglass.assess.report.page import page


def render(report: Report) -> bytes:
    """A PDF that ends in a line break, ready to be signed (sign.py)."""
    template = files("leadglass.assess.report").joinpath("templates")
    # Surrogates, which a file name may turn into, are no text for typst.
    data = json.dumps(page(report), ensure_ascii=False).encode("utf-8", "replace").decode()
    with as_file(template) as folder:
        document = typst.compile(
            folder / "report.typ",
            root=folder,
            ignore_system_fonts=True,
            sys_inputs={"page": data},
            timestamp=int(report.assessment.ended.timestamp()),
        )
    return document.rstrip(b"\r\n") + b"\n"
