"""The table of reasons is documented as it is, and holds nothing that the program does not say."""

import re
from pathlib import Path

from leadglass.inspection.reasons import BY_CODE, Reason, Weight

ROOT = Path(__file__).parents[2]
TITLES = {
    "Reject": Weight.REJECT,
    "Quarantine": Weight.QUARANTINE,
    "Disarm": Weight.DISARM,
    "Accept, reported as a finding": Weight.FINDING,
    "Accept, noted": Weight.NOTE,
}


def documented() -> dict[str, tuple[Weight, str]]:
    text = (ROOT / "docs" / "inspection.md").read_text()
    found: dict[str, tuple[Weight, str]] = {}
    weight = Weight.NOTE
    for line in text.splitlines():
        if line.startswith("### "):
            weight = TITLES[line[4:]]
        elif match := re.fullmatch(r"\| `([a-z-]+)` \| (.+) \|", line):
            assert match[1] not in found
            found[match[1]] = weight, match[2]
    return found


def test_docs_hold_the_same_table() -> None:
    assert documented() == {reason.code: (reason.weight, reason.meaning) for reason in Reason}


def test_codes_are_unique_and_each_is_used() -> None:
    assert len(BY_CODE) == len(Reason)
    folder = ROOT / "src" / "leadglass"
    source = "".join(path.read_text() for path in folder.rglob("*.py") if path.name != "reasons.py")
    # Notes of the reader come by their codes.
    unused = [each.name for each in Reason if f"Reason.{each.name}" not in source and f'"{each.code}"' not in source]
    assert not unused
