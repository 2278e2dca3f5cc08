"""What a form sent. Only `application/x-www-form-urlencoded`: the console has no other forms."""

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from leadglass.errors import UsageError

MAX_BYTES = 64 * 1024
MAX_FIELDS = 64


class Form(Mapping[str, str]):
    """Fields by name; of several values the first. `all` gives them all."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value.strip())

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def pairs(self) -> list[tuple[str, str]]:
        return [(name, value) for name, values in self._values.items() for value in values]

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(self._values.get(name, ()))


async def form_of(request: Request) -> Form:
    """Raises UsageError for another content type and beyond the bounds."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise UsageError("A form was expected.", "Send application/x-www-form-urlencoded.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise UsageError("The form is longer than any that the console has.", "Shorten what is in it.")
    try:
        return Form(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError:  # UnicodeDecodeError is one
        raise UsageError("The form cannot be read.", f"Send at most {MAX_FIELDS} fields, in UTF-8.") from None
