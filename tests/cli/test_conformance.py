"""The conformance statement in the repository is the one that the program's tables give."""

from pathlib import Path

from leadglass.cli.conformance import statement


def test_the_statement_is_the_programs_own() -> None:
    written = Path(__file__).parents[2] / "docs" / "conformance-statement.md"
    assert written.read_text() == statement(), "run `make docs`"
