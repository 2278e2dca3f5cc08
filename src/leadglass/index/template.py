"""Statements of one shape, put together once: SQLAlchemy takes ten times as long for that as SQLite for an answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Select
from sqlalchemy.dialects.sqlite import dialect

from leadglass.model import Scope


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """Stands in a statement for a value that is known when it runs."""

    name: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Template:
    """`values`: what stands at each mark of `text`, slots among them."""

    text: str
    values: tuple[object, ...]

    @classmethod
    def of(cls, statement: Select[Any]) -> Self:
        compiled: Any = statement.compile(dialect=dialect(), compile_kwargs={"render_postcompile": True})
        return cls(str(compiled), tuple(compiled.params[name] for name in compiled.positiontup))

    def filled(self, slots: Mapping[Slot, object]) -> tuple[object, ...]:
        return tuple(slots[value] if isinstance(value, Slot) else value for value in self.values)


def like_scope(scope: Scope) -> Scope:
    """A scope of the same shape, with slots for its values; `scope_slots` fills them."""
    account: Any = Slot("account") if scope.shared_with else 0
    moment: Any = Slot("at") if scope.shared_with else 0
    sites: Any = None if scope.sites is None else frozenset(Slot("site", each) for each in range(len(scope.sites)))
    patients: Any = None
    if scope.patients is not None:
        patients = frozenset((Slot("patient", each), Slot("issuer", each)) for each in range(len(scope.patients)))
    return Scope(sites, account, moment, patients)


def scope_slots(scope: Scope) -> Iterator[tuple[Slot, object]]:
    yield Slot("account"), scope.shared_with
    yield Slot("at"), scope.at
    for number, site in enumerate(sorted(scope.sites or ())):
        yield Slot("site", number), site
    for number, (patient, issuer) in enumerate(sorted(scope.patients or ())):
        yield from ((Slot("patient", number), patient), (Slot("issuer", number), issuer))
