"""Programs, archives and documents in bytes that should be none: magic numbers, each with a check of what follows it.

A magic number of two or four bytes turns up in any measurement data; a header whose fields make sense does not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from struct import Struct
from typing import Final

import yara_x


class Family(Enum):
    EXECUTABLE = "executable"
    ARCHIVE = "archive"
    DOCUMENT = "document"
    MACROS = "macros"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Payload:
    """`at`: position in the bytes that were looked at; `length`: of its magic number."""

    name: str
    family: Family
    at: int
    length: int


#: Bytes around a magic number that its check may need.
REACH: Final = 512
#: Magic numbers of one kind in one piece that are followed by nothing sensible: one more is no accident any more.
_MOST_SENSELESS: Final = 1024
#: A scanner's start costs as much as looking through this many bytes without one.
_SCREENED_FROM: Final = 2048
_TWO: Final = Struct("<H")
_FOUR: Final = Struct("<I")
_DISKS: Final = Struct("<HHHH")
_BIG_FOUR: Final = Struct(">I")
#: The anti-virus test file of EICAR, in two parts so that this file is not taken for it.
EICAR: Final = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE"

#: Machine of PE/COFF (x86, x64, ARM, ARM64, IA-64, EBC, RISC-V), and CPU types of Mach-O.
_PE_MACHINES: Final = frozenset({0x14C, 0x8664, 0x1C0, 0x1C4, 0xAA64, 0x200, 0xEBC, 0x5032, 0x5064})
_PE_OPTIONAL: Final = frozenset({0x10B, 0x20B})
_MACH_CPUS: Final = frozenset({7, 12, 18, 0x01000007, 0x0100000C, 0x01000012, 0x0200000C})
_ZIP_METHODS: Final = frozenset({0, 1, 6, 8, 9, 12, 14, 93, 95, 96, 97, 98, 99})
#: In place of a number that ZIP64 has elsewhere (APPNOTE 4.4.1.4).
_ZIP_ELSEWHERE: Final = 0xFFFF
_ELF_TYPES: Final = frozenset({1, 2, 3, 4})


def _pe(data: bytes, at: int) -> bool:
    """`at` is that of PE\\0\\0, which COFF and optional headers follow (PE format, 3.3 and 3.4). The DOS header that
    points to it may lie as far before it as it likes."""
    if at + 26 > len(data) or _TWO.unpack_from(data, at + 4)[0] not in _PE_MACHINES:
        return False
    sections, optional = _TWO.unpack_from(data, at + 6)[0], _TWO.unpack_from(data, at + 24)[0]
    return 1 <= sections <= 96 and optional in _PE_OPTIONAL


def _elf(data: bytes, at: int) -> bool:
    if at + 20 > len(data) or data[at + 4] not in (1, 2) or data[at + 5] not in (1, 2) or data[at + 6] != 1:
        return False
    kind = data[at + 16 : at + 18]
    return int.from_bytes(kind, "little" if data[at + 5] == 1 else "big") in _ELF_TYPES


def _mach(data: bytes, at: int) -> bool:
    if at + 16 > len(data):
        return False
    number = _BIG_FOUR if data[at] == 0xFE else _FOUR
    cpu, kind = number.unpack_from(data, at + 4)[0], number.unpack_from(data, at + 12)[0]
    return cpu in _MACH_CPUS and 1 <= kind <= 12


def _fat_or_class(data: bytes, at: int) -> bool:
    """A universal binary of at most 16 architectures, or a Java class file of major version 45 to 80."""
    if at + 12 > len(data):
        return False
    count, cpu = _BIG_FOUR.unpack_from(data, at + 4)[0], _BIG_FOUR.unpack_from(data, at + 8)[0]
    return (1 <= count <= 16 and cpu in _MACH_CPUS) or 45 <= count <= 80


def _zip(data: bytes, at: int) -> bool:
    """A local file header (APPNOTE 4.3.7) whose version, method and name make sense."""
    if at + 31 > len(data) or data[at + 4] > 63:
        return False
    method, name = _TWO.unpack_from(data, at + 8)[0], _TWO.unpack_from(data, at + 26)[0]
    return method in _ZIP_METHODS and 1 <= name <= 1024 and data[at + 30] >= 0x20


def _zip_entry(data: bytes, at: int) -> bool:
    """A file header of the central directory (APPNOTE 4.3.12), which many programs believe alone."""
    if at + 47 > len(data):
        return False
    method, name = _TWO.unpack_from(data, at + 10)[0], _TWO.unpack_from(data, at + 28)[0]
    return method in _ZIP_METHODS and 1 <= name <= 1024 and data[at + 46] >= 0x20


def _zip_end(data: bytes, at: int) -> bool:
    """The end of a central directory (APPNOTE 4.3.16) on one disk, with its entries all there."""
    if at + 22 > len(data):
        return False
    disk, first, here, total = _DISKS.unpack_from(data, at + 4)
    return bool(disk == first and disk in (0, _ZIP_ELSEWHERE) and here == total and here > 0)


def _tar(data: bytes, at: int) -> bool:
    """`at` is that of the magic number in a header, whose checksum is octal (POSIX.1-1988 10.1.1)."""
    return at >= 257 and data[at - 109 : at - 103].strip(b" \0").isdigit()


def _blank_follows(data: bytes, at: int) -> bool:
    return data[at + 5 : at + 6] in _BLANKS


def _as_it_is(_data: bytes, _at: int) -> bool:
    """The magic number is long enough."""
    return True


def _cabinet(data: bytes, at: int) -> bool:
    return data[at + 24 : at + 26] in (b"\x03\x01", b"\x02\x01")


def _digit(data: bytes, at: int) -> bool:
    return data[at + 5 : at + 6].isdigit()


#: What may stand after `<?php`.
_BLANKS: Final = (b" ", b"\t", b"\r", b"\n")

_Check = Callable[[bytes, int], bool]

#: Magic number → what it is, and the check of what follows.
_ANYWHERE: Final[dict[bytes, tuple[str, Family, _Check]]] = {
    b"PE\0\0": ("PE", Family.EXECUTABLE, _pe),
    b"\x7fELF": ("ELF", Family.EXECUTABLE, _elf),
    b"\xfe\xed\xfa": ("Mach-O", Family.EXECUTABLE, _mach),
    b"\xfa\xed\xfe": ("Mach-O", Family.EXECUTABLE, lambda data, at: at > 0 and _mach(data, at - 1)),
    b"\xca\xfe\xba\xbe": ("Mach-O universal or Java class", Family.EXECUTABLE, _fat_or_class),
    b"\0asm\x01\0\0\0": ("WebAssembly", Family.EXECUTABLE, _as_it_is),
    b"dex\n03": ("DEX", Family.EXECUTABLE, _as_it_is),
    b"\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F": ("Windows shortcut", Family.EXECUTABLE, _as_it_is),
    b"<?php": ("PHP", Family.EXECUTABLE, _blank_follows),
    b"ITSF\x03\0\0\0": ("compiled help", Family.EXECUTABLE, _as_it_is),
    b"PK\x03\x04": ("ZIP", Family.ARCHIVE, _zip),
    b"PK\x01\x02": ("ZIP directory", Family.ARCHIVE, _zip_entry),
    b"PK\x05\x06": ("ZIP directory", Family.ARCHIVE, _zip_end),
    b"ustar\x0000": ("tar", Family.ARCHIVE, _tar),
    b"ustar  \0": ("tar", Family.ARCHIVE, _tar),
    b"Rar!\x1a\x07": ("RAR", Family.ARCHIVE, _as_it_is),
    b"7z\xbc\xaf\x27\x1c": ("7z", Family.ARCHIVE, _as_it_is),
    b"MSCF\0\0\0\0": ("Cabinet", Family.ARCHIVE, _cabinet),
    b"%PDF-": ("PDF", Family.DOCUMENT, _digit),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("OLE", Family.DOCUMENT, _as_it_is),
    b"{\\rtf1": ("RTF", Family.DOCUMENT, _as_it_is),
    b"vbaProject.bin": ("OOXML macros", Family.MACROS, _as_it_is),
    b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0": ("OLE macros", Family.MACROS, _as_it_is),
    EICAR: ("EICAR", Family.TEST, _as_it_is),
}
#: At the beginning of a value, in lower case and without white space before it.
_AT_START: Final[dict[bytes, tuple[str, Family]]] = {
    b"#!/": ("script", Family.EXECUTABLE),
    b"#! /": ("script", Family.EXECUTABLE),
    b"@echo off": ("batch file", Family.EXECUTABLE),
    b"<script": ("HTML with script", Family.EXECUTABLE),
    b"<job": ("Windows script", Family.EXECUTABLE),
    b"<hta:": ("HTML application", Family.EXECUTABLE),
    b"<!doctype html": ("HTML", Family.DOCUMENT),
    b"<html": ("HTML", Family.DOCUMENT),
    b"<svg": ("SVG", Family.DOCUMENT),
}
_STARTS: Final = (b"#", b"@", b"<")
_LONGEST_START: Final = 16
_BLANK: Final = b"\xef\xbb\xbf \t\r\n\0"


def find_payloads(data: bytes, *, start: bool) -> Iterator[Payload]:
    """What is in `data`, the first of each kind. `start`: whether a value begins with `data`."""
    if rare_in_text(data) if len(data) < _SCREENED_FROM else _may_hold(data):
        yield from _inside(data)
    if start:
        yield from _beginning(data)


def _may_hold(data: bytes) -> bool:
    scanner = yara_x.Scanner(_screen())  # of one's own each time: it belongs to the thread that made it
    scanner.max_matches_per_pattern(1)
    return bool(scanner.scan(data).matching_rules)


@cache
def _screen() -> yara_x.Rules:
    """All magic numbers in one pass at gigabytes a second; what is found is checked below. Compiled once a process."""
    strings = " ".join(f"$m{number} = {{ {magic.hex(' ')} }}" for number, magic in enumerate(_ANYWHERE))
    return yara_x.compile(f"rule magic {{ strings: {strings} condition: any of them }}")


def _inside(data: bytes) -> Iterator[Payload]:
    for magic, (name, family, check) in _ANYWHERE.items():
        at = data.find(magic)
        senseless = 0
        while at >= 0:
            if check(data, at) or senseless == _MOST_SENSELESS:
                yield Payload(name, family, at, len(magic))
                break
            senseless += 1
            at = data.find(magic, at + 1)


def _beginning(data: bytes) -> Iterator[Payload]:
    stripped = data.lstrip(_BLANK)
    if not stripped.startswith(_STARTS):
        return
    head = stripped[:_LONGEST_START].lower()
    for magic, (name, family) in _AT_START.items():
        if head.startswith(magic):
            yield Payload(name, family, len(data) - len(stripped), len(magic))


_FIRST: Final = (
    *(b"MZ", b"\x7fELF", b"\xfe\xed\xfa", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"),
    *(b"PK", b"Rar!", b"7z\xbc\xaf", b"MSCF", b"%PDF-", b"\xd0\xcf\x11\xe0", b"{\\rtf"),
    *(b"\0asm", b"dex\n", b"L\0\0\0\x01\x14", b"X5O!", b"#!", b"<", b"@echo"),
)


def may_begin(data: bytes) -> bool:
    """Whether `data` begins as something does that `find_payloads` would find at position 0."""
    return data.startswith(_FIRST)


_ZIP_MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x01\x02")


def rare_in_text(data: bytes) -> bool:
    """Whether a run of elements may hold any of the above: one look in C for a rare byte of each, or for all of it."""
    return (
        (b"\x7f" in data and b"\x7fELF" in data)
        or (b"%" in data and (b"%PDF-" in data or b"X5O!P%@AP" in data))
        or (b"!" in data and (b"Rar!\x1a" in data or b"#!" in data))
        or (b"\xbc" in data and b"7z\xbc\xaf" in data)
        or (b"\xd0" in data and b"\xd0\xcf\x11\xe0" in data)
        or (b"\xfa" in data and (b"\xfe\xed\xfa" in data or b"\xfa\xed\xfe" in data))
        or (b"\xca" in data and b"\xca\xfe\xba\xbe" in data)
        or (b"?" in data and b"<?php" in data)
        or (b"{" in data and b"{\\rtf1" in data)
        or (b"\xc0" in data and b"\x01\x14\x02\0" in data)
        or b"PE\0\0" in data
        or (b"PK" in data and any(magic in data for magic in _ZIP_MAGICS))
        or b"ustar" in data
        or b"ITSF\x03" in data
        or b"MSCF\0" in data
        or b"vbaP" in data
        or b"V\0B\0A\0" in data
        or b"\0asm\x01" in data
        or b"dex\n03" in data
    )
