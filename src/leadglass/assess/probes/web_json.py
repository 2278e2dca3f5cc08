"""JSON arrays of any length, element by element, in constant memory (RFC 8259).

A peer may send an array that never ends, an element that never ends, or brackets that never close. Only what has
arrived of one element is held besides one chunk; the decoder's own recursion limit bounds the depth.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Final

from leadglass.errors import FormatError

_CHUNK: Final = 65_536
#: One study is a few kilobytes; one series of Orthanc's lists its images, 40 bytes each.
_ELEMENT: Final = 4 * 1024 * 1024
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SEPARATORS: Final = (",", "]")


def elements(read: Callable[[int], bytes]) -> Iterator[object]:
    """The elements of the array that `read` yields (`read(n)`: at most n bytes, none at the end).

    FormatError if it is no array, if it ends early, or if an element is too large or too deep.
    """
    decoder = json.JSONDecoder()
    text = codecs.getincrementaldecoder("utf-8")("replace")
    held, at = _opened(read, text)
    while True:
        at = _skip(held, at)
        try:
            element, end = decoder.raw_decode(held, at)
            end = _skip(held, end)
        except RecursionError:
            raise FormatError("A JSON array nests too deeply.") from None
        except ValueError:
            end = len(held)
        # An element is whole once what follows it has arrived: `12` may be the beginning of `123`.
        if end < len(held) and held[end] in _SEPARATORS:
            yield element
            if held[end] == "]":
                return
            at = end + 1
        elif held.startswith("]", at):
            return
        elif len(held) - at > _ELEMENT:
            raise FormatError("An element of a JSON array is too large, or is not JSON.")
        else:
            held, at = _longer(held[at:], read, text), 0


def decoded(body: bytes) -> object:
    """One JSON text of bounded size. FormatError if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise FormatError("An answer is not JSON.") from None


def _opened(read: Callable[[int], bytes], text: codecs.IncrementalDecoder) -> tuple[str, int]:
    held = ""
    while not (held := held.lstrip(" \t\r\n\ufeff")):
        held = text.decode(_more(read))
    if not held.startswith("["):
        raise FormatError("An answer is not a JSON array.")
    return held, 1


def _longer(held: str, read: Callable[[int], bytes], text: codecs.IncrementalDecoder) -> str:
    """Twice as much as was not enough, or what there is: what is looked at again and again adds up to no more than
    twice of all."""
    parts, length = [held, text.decode(_more(read))], min(2 * len(held), _ELEMENT + _CHUNK)
    while sum(map(len, parts)) < length and (data := read(_CHUNK)):
        parts.append(text.decode(data))
    return "".join(parts)


def _more(read: Callable[[int], bytes]) -> bytes:
    data = read(_CHUNK)
    if not data:
        raise FormatError("A JSON array ends early.")
    return data


def _skip(held: str, at: int) -> int:
    found = _SPACE.match(held, at)
    return found.end() if found else at
