"""A ZIP unpacks to no more than it says, and memory holds none of it: bombs and lies of every kind."""

import bz2
import lzma
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile

import pytest

from leadglass.inspection.files import FileInspector
from leadglass.inspection.media import MediaInspector, subjects
from leadglass.inspection.unpacking import ArchiveLimits
from tests.hostile.case import private, whole
from tests.hostile.samples import pe
from tests.inspection.test_memory import MEBIBYTE, MOST

METHODS = {"stored": ZIP_STORED, "deflate": ZIP_DEFLATED, "bzip2": ZIP_BZIP2, "LZMA": ZIP_LZMA}
END = b"PK\x05\x06"
CENTRAL = b"PK\x01\x02"


def zipped(path: Path, *entries: tuple[str, bytes], method: int = ZIP_DEFLATED) -> bytes:
    with ZipFile(path, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path.read_bytes()


def told(path: Path, limits: ArchiveLimits | None = None) -> dict[str, set[str]]:
    """Entry → codes of its reasons; the archive itself is `""`."""
    (subject,) = subjects([path])
    inspector = MediaInspector(FileInspector(), limits)
    return {each.path.partition(".zip")[2]: set(each.report.reasons) for each in inspector.inspect(subject)}


def peak(path: Path, limits: ArchiveLimits | None = None) -> int:
    told(path, limits)
    tracemalloc.start()
    try:
        told(path, limits)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_each_method_is_read(method: int, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    zipped(path, ("clean.dcm", whole()), ("program.dcm", whole(private(pe()))), ("empty", b""), method=method)
    assert told(path) == {"!clean.dcm": set(), "!program.dcm": {"executable"}, "!empty": {"not-dicom"}}


def repeated(packer: "bz2.BZ2Compressor | lzma.LZMACompressor", octets: int) -> bytes:
    parts = [packer.compress(bytes(MEBIBYTE)) for _ in range(octets // MEBIBYTE)]
    return b"".join((*parts, packer.flush()))


def entry_of(packed: bytes, method: int, size: int, *, name: bytes = b"a.dcm", crc: int = 0) -> bytes:
    """An archive of one entry, as its maker wants it to be."""
    versions = struct.pack("<HHH", 20, 2 if method == ZIP_LZMA else 0, method)
    sizes = struct.pack("<IIIHH", crc, len(packed), size, len(name), 0)
    local = b"PK\x03\x04" + versions + bytes(4) + sizes + name + packed
    central = CENTRAL + b"\x14\0" + versions + bytes(4) + sizes + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    return local + central + END + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


SIZE = 64 * MEBIBYTE


def bzip2() -> bytes:
    return entry_of(repeated(bz2.BZ2Compressor(), SIZE), ZIP_BZIP2, MEBIBYTE)


def lzma1() -> bytes:
    only = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 20, "lc": 3, "lp": 0, "pb": 2}
    packed = repeated(lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[only]), SIZE)
    return entry_of(struct.pack("<HHBI", 9, 5, 93, 1 << 20) + packed, ZIP_LZMA, MEBIBYTE)


def deflate(before: bytes = b"") -> bytes:
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    parts = [deflater.compress(before), *(deflater.compress(bytes(MEBIBYTE)) for _ in range(SIZE // MEBIBYTE))]
    return entry_of(b"".join((*parts, deflater.flush())), ZIP_DEFLATED, 1024)


@pytest.mark.parametrize("make", [bzip2, lzma1, deflate])
def test_a_bomb_is_stopped_where_it_exceeds_what_it_says(make: Callable[[], bytes], tmp_path: Path) -> None:
    """64 MiB in few bytes, said to be a MiB or less."""
    path = tmp_path / "bomb.zip"
    path.write_bytes(make())
    assert told(path) == {"!a.dcm": {"archive-beyond-limit"}}
    assert peak(path) < MOST


def test_a_bomb_that_says_so_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(entry_of(bytes(64), ZIP_BZIP2, SIZE))
    assert told(path) == {"!a.dcm": {"archive-beyond-limit"}}


def test_a_dictionary_of_gigabytes_is_not_allocated(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(entry_of(struct.pack("<HHBI", 9, 5, 93, 0xFFFF_FFFF) + bytes(64), ZIP_LZMA, 100))
    assert told(path) == {"!a.dcm": {"archive-beyond-limit"}}


def test_a_zip_in_a_zip(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner", ("deep.dcm", whole(private(pe()))), ("large", bytes(99_999)))
    big = zipped(tmp_path / "big", ("large", bytes(i * 167 % 251 for i in range(65536)) * 200), method=ZIP_STORED)
    path = tmp_path / "a.zip"
    zipped(path, ("in.zip", inner), method=ZIP_DEFLATED)
    assert told(path) == {"!in.zip!deep.dcm": {"executable"}, "!in.zip!large": {"not-dicom"}}
    # Stored as it is, it is read where it lies; compressed, it would have to be held.
    zipped(path, ("in.zip", big), method=ZIP_STORED)
    assert told(path) == {"!in.zip!large": {"not-dicom"}}
    assert peak(path) < MOST
    zipped(path, ("in.zip", big), method=ZIP_DEFLATED)
    assert told(path) == {"!in.zip": {"archive-beyond-limit"}}
    assert peak(path) < MOST


def test_a_nested_bomb_is_counted_while_it_unpacks(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(deflate(b"PK\x03\x04"))
    assert told(path) == {"!a.dcm": {"archive-beyond-limit"}}
    assert peak(path) < MOST


def test_all_in_one_file_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    zipped(path, *((f"{number}.dcm", whole()) for number in range(20)))
    assert "" in told(path, ArchiveLimits(entries=19))
    assert told(path, ArchiveLimits(entries=19))[""] == {"archive-beyond-limit"}
    octets = 5 * len(whole())
    assert {"archive-beyond-limit"} in told(path, ArchiveLimits(total_bytes=octets)).values()


def lies(folder: Path) -> Iterator[tuple[str, bytes, str]]:
    two = zipped(folder / "two", ("a.dcm", whole()), ("b.dcm", whole(private(pe()))), method=ZIP_STORED)
    central = two.index(CENTRAL)
    second = two.index(CENTRAL, central + 1)
    end = two.index(END)
    yield "no end", two[:-10], "malformed"
    short = struct.pack("<HHHHIIH", 0, 0, 1, 1, second - central, central, 0)
    yield "an entry that no directory names", two[:second] + END + short, "malformed"
    count = struct.pack("<HHHHIIH", 0, 0, 1, 1, end - central, central, 0)
    yield "more entries than it says", two[:end] + END + count, "malformed"
    huge = struct.pack("<HHHHIIH", 0, 0, 2, 2, 0x7FFF_0000, 0, 0)
    yield "a directory of 2 GiB", two[:end] + END + huge, "archive-beyond-limit"
    long_end = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 2, 2, 1 << 40, central)
    locator = struct.pack("<IIQI", 0x07064B50, 0, end, 1)
    yield "two ends that contradict", two[:end] + long_end + locator + two[end:], "malformed"
    full = END + struct.pack("<HHHHIIH", 0, 0, 2, 2, 0xFFFF_FFFF, central, 0)
    yield "a directory of 1 TiB in the long end", two[:end] + long_end + locator + full, "archive-beyond-limit"
    inner = END + struct.pack("<HHHHIIH", 0, 0, 0, 0, 0, 0, 0)
    outer = END + struct.pack("<HHHHIIH", 0, 0, 2, 2, end - central, central, len(inner))
    yield "an end in the comment", two[:end] + outer + inner, "malformed"
    renamed = two.replace(b"a.dcm", b"c.dcm", 1)
    yield "another name in its own header", renamed, "malformed"
    overlapping = bytearray(two)
    overlapping[second + 42 : second + 46] = overlapping[central + 42 : central + 46]
    overlapping[second + 46 : second + 51] = b"a.dcm"
    yield "entries that overlap", bytes(overlapping), "archive-beyond-limit"


def test_directories_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for name, data, code in lies(tmp_path):
        path.write_bytes(data)
        assert told(path) == {"": {code}}, name


def test_damage_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    whole_zip = zipped(path, ("a.dcm", whole()), method=ZIP_STORED)
    damaged = bytearray(whole_zip)
    damaged[whole_zip.index(b"DICM") + 200] ^= 1
    path.write_bytes(damaged)
    assert told(path) == {"!a.dcm": {"malformed"}}
    zipped(path, ("a.dcm", whole()), method=ZIP_DEFLATED)
    strange = path.read_bytes().replace(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x5d\0")
    path.write_bytes(strange)
    assert told(path) == {"!a.dcm": {"not-scanned"}}


def test_long_archives(tmp_path: Path) -> None:
    """ZIP64, as its writers make it."""
    path = tmp_path / "a.zip"
    with ZipFile(path, "w") as archive, archive.open("a.dcm", "w", force_zip64=True) as entry:
        entry.write(whole())
    assert told(path) == {"!a.dcm": set()}
    data = path.read_bytes()
    at = data.index(END)
    central = data.index(CENTRAL)
    long_end = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, at - central, central)
    locator = struct.pack("<IIQI", 0x07064B50, 0, at, 1)
    full = END + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFF_FFFF, 0xFFFF_FFFF, 0)
    path.write_bytes(data[:at] + long_end + locator + full)
    assert told(path) == {"!a.dcm": set()}
