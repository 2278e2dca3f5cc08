"""YARA rules (yara-x): our own in `rules/*.yar`, and those of the operator. Compiled once, when first needed.

Objects are scanned a block at a time, so that memory stays bounded: rules must not rely on `filesize` or on positions.
"""

from collections.abc import Iterator
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Final

import yara_x

from leadglass.errors import UsageError
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import Findings, excerpt

_BLOCK: Final = 1024 * 1024
#: The end of a block is scanned again with the next: no string of a rule is longer.
_OVERLAP: Final = 4096
#: Of one string in one block: a flood of them would take as much memory again.
_MOST_MATCHES: Final = 1024


class RuleSet:
    """Rules from files; `extra` are the operator's. Raises UsageError for one that does not compile."""

    def __init__(self, extra: tuple[Path, ...] = ()) -> None:
        self._extra = extra

    @cached_property
    def _rules(self) -> yara_x.Rules:
        compiler = yara_x.Compiler()
        for name, source in self._sources():
            compiler.new_namespace(name)
            try:
                compiler.add_source(source, origin=name)
            except yara_x.CompileError as error:
                raise UsageError(f"The rules in {name} do not compile: {str(error).splitlines()[0]}") from None
        return compiler.build()

    def _sources(self) -> Iterator[tuple[str, str]]:
        own = (each for each in files("leadglass.inspection").joinpath("rules").iterdir() if each.name.endswith(".yar"))
        for each in sorted(own, key=lambda each: each.name):
            yield each.name.removesuffix(".yar"), each.read_text("utf-8")
        for path in self._extra:
            try:
                yield path.stem, path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"The rules in {path} cannot be read: {error}.") from None

    def begin(self, findings: Findings) -> "RuleScan":
        return RuleScan(self._rules, findings)


class RuleScan:
    """One object on its way past the rules."""

    def __init__(self, rules: yara_x.Rules, findings: Findings) -> None:
        self._rules = rules
        self._findings = findings
        self._held = bytearray()
        self._offset = 0
        self._seen: set[str] = set()

    def feed(self, data: memoryview) -> None:
        while len(data):
            part = data[: _BLOCK - len(self._held)]
            self._held += part
            data = data[len(part) :]
            if len(self._held) == _BLOCK:
                self._scan(keep=_OVERLAP)

    def finish(self) -> None:
        self._scan(keep=0)

    def close(self) -> None:
        self._held.clear()

    def _scan(self, *, keep: int) -> None:
        data = bytes(self._held)
        # A scanner of one's own each time: they belong to the thread that made them.
        scanner = yara_x.Scanner(self._rules)
        scanner.max_matches_per_pattern(_MOST_MATCHES)
        for rule in scanner.scan(data).matching_rules:
            if rule.identifier in self._seen:
                continue
            self._seen.add(rule.identifier)
            matches = [match for pattern in rule.patterns for match in pattern.matches]
            at = min((match.offset for match in matches), default=0)
            reason = Reason.TEST_VIRUS if "test" in rule.tags else Reason.RULE
            self._findings.add(
                reason, self._offset + at, "", excerpt(data, at, 0), f"{rule.namespace}:{rule.identifier}"
            )
        self._offset += len(data) - keep
        self._held = self._held[len(data) - keep :]
