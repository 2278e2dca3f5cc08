"""The header of a stored object is read in pieces, and no further than needed."""

import zlib
from collections.abc import Iterator
from typing import cast

import pytest

from leadglass.archive.header import stored_elements
from leadglass.archive.incoming import Layout
from leadglass.dicom import tags, uids
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.model import DataSetLimits
from leadglass.pack.reader import ObjectReader
from tests.clients import ct, instance_of

MIB = 1024**2
LARGE = 16 * MIB


class Counting:
    """Stands for the reader of an object without pixel data, and counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.length = len(data)
        self.layout = Layout.of(len(data), None).encode()
        self.read = 0
        self._data = data

    def chunks(self, start: int, length: int) -> Iterator[bytearray]:
        for at in range(start, start + length, MIB):
            chunk = bytearray(self._data[at : min(at + MIB, start + length)])
            self.read += len(chunk)
            yield chunk


def large(syntax: str) -> tuple[Counting, str]:
    """A data set of 16 MiB that ends in its last text, and its SOP Instance UID."""
    text = b"\x40\x00\x31\xa7OB\0\0" + LARGE.to_bytes(4, "little") + bytes(LARGE)
    last = b"\x42\x00\x10\x00ST\x04\x00last"
    small = ct()
    header = small[: small.rindex(b"\xe0\x7f\x10\x00")]
    data = header[: header.rindex(b"\x28\x00\x02\x00US")] + text + last
    if syntax == uids.DEFLATED:
        packer = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS)
        data = packer.compress(data) + packer.flush()
    return Counting(data), instance_of(small)


@pytest.mark.parametrize("syntax", [uids.EXPLICIT_LE, uids.DEFLATED])
def test_no_more_than_needed(syntax: str) -> None:
    reader, instance = large(syntax)
    wanted = frozenset({tags.SOP_INSTANCE_UID})
    found = stored_elements(cast(ObjectReader, reader), TRANSFER_SYNTAXES[syntax], DataSetLimits(), wanted)
    assert found[tags.SOP_INSTANCE_UID].value.rstrip(b"\0").decode() == instance
    assert reader.read <= MIB


@pytest.mark.parametrize("syntax", [uids.EXPLICIT_LE, uids.DEFLATED])
def test_to_the_end_when_needed(syntax: str) -> None:
    reader, _ = large(syntax)
    wanted = frozenset({tags.SOP_INSTANCE_UID, tags.STUDY_INSTANCE_UID, 0x00420010, 0x00420011})
    found = stored_elements(cast(ObjectReader, reader), TRANSFER_SYNTAXES[syntax], DataSetLimits(), wanted)
    assert found[0x00420010].value == b"last"
    assert len(found) == 3
    assert reader.read == reader.length
