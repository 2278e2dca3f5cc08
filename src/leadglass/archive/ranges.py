"""Bytes of a stored data set by their place in it, as the web carries them: inflated, and in little endian words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadglass.dicom.encoding import swapped
from leadglass.dicom.inflate import Inflater
from leadglass.dicom.uids import TransferSyntax
from leadglass.model import DataSetLimits

if TYPE_CHECKING:
    from leadglass.pack.reader import ObjectReader

Buffer = bytes | bytearray


@dataclass(frozen=True, slots=True)
class StoredValue:
    """`length` bytes from `offset` on, of words of so many bytes that are swapped on the way out. For any
    thread."""

    reader: "ObjectReader"
    syntax: TransferSyntax
    limits: DataSetLimits
    offset: int
    length: int
    word: int = 1

    def chunks(self, start: int, length: int) -> Iterator[Buffer]:
        """A range within the value, in buffers of at most 1 MiB. Raises VerificationFailed."""
        # Words are swapped whole, also those that the range begins or ends in.
        first = start - start % self.word
        stop = min(-(-(start + length) // self.word) * self.word, self.length)
        return cut(self._swapped(first, stop - first), start - first, length)

    def _swapped(self, start: int, length: int) -> Iterator[Buffer]:
        chunks = stored_range(self.reader, self.syntax, self.limits, self.offset + start, length)
        if self.word == 1:
            yield from chunks
            return
        carry = b""
        for chunk in chunks:
            whole = carry + chunk
            end = len(whole) - len(whole) % self.word
            yield swapped(whole[:end], self.word)
            carry = whole[end:]
        if carry:
            yield carry


def stored_range(
    reader: "ObjectReader", syntax: TransferSyntax, limits: DataSetLimits, start: int, length: int
) -> Iterator[Buffer]:
    """A range of a data set, inflated where it was deflated. Raises VerificationFailed."""
    if not syntax.deflated:
        yield from reader.chunks(start, length)
        return
    inflater = Inflater(limits)
    inflated = (part for chunk in reader.chunks() for part in inflater.inflate(memoryview(chunk)))
    yield from cut(inflated, start, length)


def cut(chunks: Iterator[Buffer], skip: int, length: int) -> Iterator[Buffer]:
    """`length` bytes after the first `skip`."""
    for chunk in chunks:
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        part = chunk[skip : skip + length] if skip or length < len(chunk) else chunk
        skip = 0
        length -= len(part)
        yield part
        if not length:
            return
