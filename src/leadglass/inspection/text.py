"""What a text may do to whoever shows, logs, exports or searches it, and identifiers that do not belong there.

Texts are shown safely everywhere here (escaped, quoted, bound as parameters); other programs will read them too.
"""

import re
from collections.abc import Iterator
from itertools import islice
from string import ascii_letters, digits
from typing import Final, NamedTuple

from stdnum.us import ssn

from leadglass.dicom.encoding import TEXT_VRS
from leadglass.inspection.payloads import rare_in_text
from leadglass.inspection.reasons import Reason


class Remark(NamedTuple):
    """`length` is 0 where what was found must not be shown."""

    reason: Reason
    at: int
    length: int
    detail: str


#: VRs in which somebody may have typed a number that is not theirs to hold.
_IDENTIFIER_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UN", "UR", "UT"})
#: PS3.5 6.2: one line, without control characters except ESC.
_ONE_LINE: Final = TEXT_VRS - {"LT", "ST", "UT"}

#: Three, two and four digits as the Social Security Administration gives them out: none is all zeros.
_FORMATTED: Final = re.compile(
    rb"(?<![0-9A-Za-z.-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9A-Za-z-])"
)
_BARE: Final = re.compile(rb"(?<![0-9A-Za-z._-])(?!000|666|9)[0-9]{3}(?!00)[0-9]{2}(?!0000)[0-9]{4}(?![0-9A-Za-z._-])")
#: Numbers that are looked at closely in one text.
MOST_NUMBERS: Final = 256
_ESCAPE: Final = re.compile(rb"\x1b[\]\[PX^_c]")
_MARKUP: Final = re.compile(
    rb"<\s*(?:script|svg|iframe|object|embed|img|meta|link|style)\b|javascript:|\bon(?:error|load|click|mouseover)\s*="
)
_SQL: Final = re.compile(
    rb"'\s*or\s+'?\w+'?\s*=|\bunion\s+(?:all\s+)?select\b|;\s*(?:drop|delete|insert|update)\s+\w+|'\s*+;?\s*+--|xp_cmdshell"
)
_FORMULA: Final = re.compile(rb"(?:^|\\)\s*[=+@-]\s*[a-z]++[^\\]{0,64}?[(|!]")
_LINE_BREAK: Final = re.compile(rb"[^\x00-\x1f][\r\n]+[^\x00-\x1f ]")
_PATH: Final = re.compile(rb"[/:]|(?:^|\\)\s*\.\.|%2f|[a-z]:")

_MEMBERS: Final = {0x30: digits, 0x2D: "-", 0x43: "\r\n", 0x57: ascii_letters + "._"}
#: Digits, hyphen, line breaks, what belongs to a word or a UID, what else is printable, and the rest.
_CLASSES: Final = bytes(
    next((code for code, members in _MEMBERS.items() if chr(i) in members), 0x41 if 32 <= i < 127 else 0x2E)
    for i in range(256)
)
_PRINTABLE: Final = bytes.maketrans(b"0-W", b"AAA")
_WORD: Final = (b"W", b"-")
_DIGITS: Final = re.compile(rb"0+")
_UID_OF_TEXT: Final = re.compile(rb"UI..[0-9.\\ ]*[/:A-Za-z%<']", re.DOTALL)
#: A rare character of each, in lower case, and what follows it in a text that deserves a look.
_GUARDED: Final = {
    b"<": re.compile(rb"<[!\s]*(?:script|svg|iframe|object|embed|img|meta|link|style|html|doctype|job|hta:)"),
    b"=": re.compile(rb"=\s*[a-z\"'(]"),
    b"'": re.compile(rb"'\s*(?:or\b|;|--)"),
    b";": re.compile(rb";\s*(?:drop|delete|insert|update)\b"),
    b"@": re.compile(rb"@(?:echo|[a-z]+\()"),
    b"|": re.compile(rb"\|\s*'"),
    b"%": re.compile(rb"%2f|%pdf-"),
    b"!": re.compile(rb"!p%@ap\["),
}
_WORDS: Final = (b"javascript:", b"union ", b"xp_cmdshell", b"hyperlink(", b"..\\", b"../")


def suspicious(run: bytes, *, explicit: bool) -> bool:
    """Whether a run of elements, headers and all, deserves to be read element by element. Errs on the side of yes.

    A few passes in C over some kilobytes: this is all that a clean object's texts cost.
    """
    classes = run.translate(_CLASSES)
    if b"000-00-0000" in classes or _nine_digits(classes):
        return True
    broken = classes.translate(_PRINTABLE)
    if b"ACA" in broken or b"ACCA" in broken or (b"\x1b" in run and _ESCAPE.search(run)):
        return True
    if explicit and _UID_OF_TEXT.search(run):
        return True
    lowered = run.lower()
    return (
        any(guard in lowered and pattern.search(lowered) for guard, pattern in _GUARDED.items())
        or any(word in lowered for word in _WORDS)
        or rare_in_text(run)
    )


def _nine_digits(classes: bytes) -> bool:
    """Whether nine digits stand alone. UIDs are full of digits: each run is skipped as a whole."""
    at = classes.find(b"000000000")
    while at >= 0:
        match = _DIGITS.match(classes, at)
        end = match.end() if match else at + 9
        if end - at == 9 and classes[at - 1 : at] not in _WORD and classes[end : end + 1] not in _WORD:
            return True
        at = classes.find(b"000000000", end)
    return False


def remarks(value: bytes, vr: str) -> Iterator[Remark]:
    """What is to be said about one text value, each reason once. UN may hold text as well as anything else."""
    if vr == "UI":
        match = _PATH.search(value.lower())
        if match:
            yield Remark(Reason.UID_PATH, match.start(), len(match[0]), "")
        return
    lowered = value.lower()
    for reason, pattern in ((Reason.MARKUP, _MARKUP), (Reason.SQL, _SQL), (Reason.FORMULA, _FORMULA)):
        match = pattern.search(lowered)
        if match:
            yield Remark(reason, match.start(), 1, "")
    match = _ESCAPE.search(value)
    if match:
        yield Remark(Reason.ESCAPES, match.start(), 2, "")
    if vr in _ONE_LINE and (match := _LINE_BREAK.search(value)):
        yield Remark(Reason.LINE_FORGED, match.start() + 1, 1, "")
    if vr != "UN" and b"\0" in value.rstrip(b"\0 "):
        yield Remark(Reason.NULL, value.index(b"\0"), 1, "")
    if vr in _IDENTIFIER_VRS:
        yield from social_security_numbers(value)


def social_security_numbers(value: bytes) -> Iterator[Remark]:
    """Each number that the Social Security Administration could have issued (python-stdnum). They are never shown."""
    classes = value.translate(_CLASSES)
    wanted = (
        *([(Reason.SSN, _FORMATTED)] if b"000-00-0000" in classes else ()),
        *([(Reason.SSN_BARE, _BARE)] if _nine_digits(classes) else ()),
    )
    for reason, pattern in wanted:
        for match in islice(pattern.finditer(value), MOST_NUMBERS):
            if ssn.is_valid(match[0].decode("ascii")):
                yield Remark(reason, match.start(), 0, "")
