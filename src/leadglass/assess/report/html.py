"""The report as one page that needs nothing else: no scripts, no fonts, nothing fetched, light and dark."""

from io import BytesIO

from jinja2 import Environment, PackageLoader, StrictUndefined

from leadglass.assess.report.model import Report
from leadglass.assess.report.page import page


def render(report: Report) -> bytes:
    """UTF-8, ready to be signed (sign.py). Whatever peers said is escaped: autoescape is on for all of it."""
    environment = Environment(
        loader=PackageLoader("leadglass.assess.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    encoded = BytesIO()
    for piece in environment.get_template("report.html").generate(page(report)):
        encoded.write(piece.encode("utf-8", "replace"))
    encoded.write(b"\n")  # the template's own last one is trimmed
    return encoded.getvalue()
