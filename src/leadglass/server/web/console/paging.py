"""Long lists, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.requests import Request

from leadglass.errors import UsageError

PAGE = 50
_MOST_PAGES = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """Lines `first` to `last`, counted from 1, of `total`. `earlier` and `later` are addresses, "" where there are
    none."""

    lines: Sequence[T]
    first: int
    last: int
    total: int
    earlier: str
    later: str


def listed(request: Request, lines: Sequence[T]) -> Listed[T]:
    """The page that the address asks for. Raises UsageError."""
    asked = request.query_params.get("page", "1")
    if len(asked) > 9:
        raise UsageError("The number of the page is longer than any.", "Begin with page 1.")
    page = min(int(asked), _MOST_PAGES) if asked.isascii() and asked.isdecimal() and int(asked) else 1
    start = (page - 1) * PAGE
    shown = lines[start : start + PAGE]
    return Listed(
        lines=shown,
        first=start + 1,
        last=start + len(shown),
        total=len(lines),
        earlier=_address(request, page - 1) if page > 1 else "",
        later=_address(request, page + 1) if len(lines) > start + PAGE else "",
    )


def _address(request: Request, page: int) -> str:
    return f"?{request.url.include_query_params(page=page).query}"
