"""Character sets, PS3.5 6.1, and the folding of names for matching.

A character set is known by its defined term, PS3.3 C.12.1.1.2. Python's codecs do the mapping; the code extension
techniques of ISO 2022 (PS3.5 6.1.2.5) are done here, element by element.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from leadglass.dicom.encoding import LOCALISED_VRS
from leadglass.errors import DataSetError

#: PS3.3 Tables C.12-2 and C.12-5; the default repertoire is read as Latin-1 since devices put accents in it.
_CODECS: Final = {
    "ISO_IR 6": "latin_1",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 100": "latin_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 149": "euc_kr",
    "ISO_IR 166": "tis_620",
    "ISO_IR 203": "iso8859_15",
    "ISO_IR 58": "gb2312",
    "ISO_IR 87": "iso2022_jp",
    "ISO_IR 159": "iso2022_jp_2",
    "ISO_IR 192": "utf_8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
#: PS3.3 C.12.1.1.2: never used with code extensions.
_STAND_ALONE: Final = frozenset({"ISO_IR 192", "GB18030", "GBK"})
#: PS3.3 Tables C.12-3 and C.12-4: escape sequence → (code element is G0, codec).
_ESCAPES: Final = {
    b"\x1b(B": (True, "ascii"),
    b"\x1b(J": (True, "ascii"),
    b"\x1b$B": (True, "iso2022_jp"),
    b"\x1b$(D": (True, "iso2022_jp_2"),
    b"\x1b)I": (False, "shift_jis"),
    b"\x1b$)C": (False, "euc_kr"),
    b"\x1b$)A": (False, "gb2312"),
    b"\x1b-A": (False, "latin_1"),
    b"\x1b-B": (False, "iso8859_2"),
    b"\x1b-C": (False, "iso8859_3"),
    b"\x1b-D": (False, "iso8859_4"),
    b"\x1b-F": (False, "iso8859_7"),
    b"\x1b-G": (False, "iso8859_6"),
    b"\x1b-H": (False, "iso8859_8"),
    b"\x1b-L": (False, "iso8859_5"),
    b"\x1b-M": (False, "iso8859_9"),
    b"\x1b-T": (False, "tis_620"),
    b"\x1b-b": (False, "iso8859_15"),
}
_ESCAPE_OF: Final = {codec: escape for escape, (_, codec) in _ESCAPES.items() if codec != "ascii"}
_TWO_BYTE_G0: Final = {"iso2022_jp": b"\x1b$B", "iso2022_jp_2": b"\x1b$(D"}
_JIS_X_0201: Final = "shift_jis"
_NOT_JIS_X_0201: Final = re.compile("[^\x00-\x7f｡-ﾟ]")
_SEGMENT: Final = re.compile(rb"(\x1b(?:\$?[()-])?[@-~]|\x1b\$[@-~])")
_TERM: Final = re.compile(r"ISO[ _-]?(?:2022)?[ _-]*(?:IR)?[ _-]*(\d+)")
#: PS3.5 6.1.2.5.3: code elements fall back to the initial ones at these.
_DELIMITERS: Final = {"PN": re.compile(rb"([\r\n\f\t\\^=])")}
_DELIMITERS_ELSEWHERE: Final = re.compile(rb"([\r\n\f\t\\])")


def parse_charsets(value: str) -> tuple[str, ...]:
    """The defined terms in a value of (0008,0005), as `ISO_IR nnn`, `GBK` or `GB18030`; () for the default repertoire.

    The terms with and without code extensions name the same set, and devices write them in many ways. Terms that
    nobody defined read as the default repertoire.
    """
    terms = [_term(part.strip(" \0").upper()) for part in value.split("\\")]
    if any(term in _STAND_ALONE for term in terms):
        return (next(term for term in terms if term in _STAND_ALONE),)
    while terms and terms[-1] == "ISO_IR 6":
        terms.pop()
    return tuple(terms)


def _term(text: str) -> str:
    if text in ("GBK", "GB18030"):
        return text
    if text in ("ISO 2022 GBK", "UTF-8", "UTF8"):
        return "GBK" if "GBK" in text else "ISO_IR 192"
    match = _TERM.fullmatch(text)
    number = match[1] if match else "6"
    return f"ISO_IR {number}" if f"ISO_IR {number}" in _CODECS else "ISO_IR 6"


def defined_terms(charsets: tuple[str, ...]) -> str:
    """The value of (0008,0005) for `charsets`: with several, or one that needs escapes, the ISO 2022 terms."""
    if len(charsets) > 1 or any(_CODECS[term] in _TWO_BYTE_G0 or term in _MULTI_BYTE for term in charsets):
        return "\\".join(
            "" if term == "ISO_IR 6" and index == 0 else term.replace("ISO_IR", "ISO 2022 IR")
            for index, term in enumerate(_extended(charsets))
        )
    return "\\".join(charsets)


_MULTI_BYTE: Final = frozenset({"ISO_IR 149", "ISO_IR 58"})


def _extended(charsets: tuple[str, ...]) -> tuple[str, ...]:
    # PS3.3 C.12.1.1.2: the multi-byte sets of ISO 2022 are never the first value.
    first = charsets[0]
    return ("ISO_IR 6", *charsets) if first in _MULTI_BYTE or _CODECS[first] in _TWO_BYTE_G0 else charsets


def decode_text(raw: bytes, charsets: tuple[str, ...], vr: str) -> str:
    """The text of a value without its padding, several values still joined by a backslash.

    Bytes that the character set does not have become U+FFFD. Spaces that PS3.5 6.2 calls insignificant are stripped
    from each value: both ends, or only the end for ST, LT, UT and UC.
    """
    if raw.isascii() and b"\x1b" not in raw:
        text = raw.decode("ascii")
    elif vr not in LOCALISED_VRS:
        text = raw.decode("latin_1")
    elif charsets and charsets[0] in _STAND_ALONE:
        text = raw.decode(_CODECS[charsets[0]], "replace")
    elif b"\x1b" in raw:
        text = _decode_extended(raw, charsets, vr)
    else:
        text = raw.decode(_CODECS[charsets[0]] if charsets else "latin_1", "replace")
    return _strip(text, vr)


def _strip(text: str, vr: str) -> str:
    if vr in ("ST", "LT", "UT", "UR"):
        return text.rstrip(" \0")
    if vr == "UC":
        return "\\".join(part.rstrip(" \0") for part in text.split("\\"))
    if "\\" in text:
        return "\\".join(part.strip(" \0") for part in text.split("\\"))
    return text.strip(" \0")


def _decode_extended(raw: bytes, charsets: tuple[str, ...], vr: str) -> str:
    delimiters = _DELIMITERS.get(vr, _DELIMITERS_ELSEWHERE)
    initial = _CODECS[charsets[0]] if charsets else "latin_1"
    g0, g1 = "ascii", initial
    text: list[str] = []
    for segment in _SEGMENT.split(raw):
        if segment in _ESCAPES:
            is_g0, codec = _ESCAPES[segment]
            g0, g1 = (codec, g1) if is_g0 else (g0, codec)
        elif g0 in _TWO_BYTE_G0:
            text.append((_TWO_BYTE_G0[g0] + segment).decode(g0, "replace"))
        else:
            for part in delimiters.split(segment):
                text.append(part.decode(g1, "replace"))
                if len(part) == 1 and delimiters.fullmatch(part):
                    g1 = initial
    return "".join(text)


def encode_text(text: str, charsets: tuple[str, ...], vr: str) -> bytes:
    """The bytes of `text`, without padding. Raises DataSetError when `charsets` do not have a character of it."""
    if text.isascii():
        return text.encode("ascii")
    if vr in LOCALISED_VRS and charsets:
        first = _extended(charsets)[0]
        codec = "ascii" if first == "ISO_IR 6" else _CODECS[first]
        try:
            return _encode(text, codec)
        except UnicodeEncodeError:
            if first not in _STAND_ALONE and len(_extended(charsets)) > 1:
                return _encode_extended(text, codec, _extended(charsets)[1:], vr)
    raise DataSetError("A text has characters that its specific character set does not have (PS3.5 6.1).")


def _encode(text: str, codec: str) -> bytes:
    """Raises UnicodeEncodeError. Shift JIS stands in for JIS X 0201, which has none of its two-byte characters."""
    if codec == _JIS_X_0201 and (foreign := _NOT_JIS_X_0201.search(text)):
        raise UnicodeEncodeError(codec, text, foreign.start(), foreign.end(), "not in JIS X 0201")
    return text.encode(codec)


def _encode_extended(text: str, initial: str, others: tuple[str, ...], vr: str) -> bytes:
    pattern = r"([\r\n\f\t\\^=])" if vr == "PN" else r"([\r\n\f\t\\])"
    return b"".join(_encode_part(part, initial, others) for part in re.split(pattern, text))


def _encode_part(part: str, initial: str, others: tuple[str, ...]) -> bytes:
    for codec in (initial, *(_CODECS[term] for term in others)):
        try:
            encoded = _encode(part, codec)
        except UnicodeEncodeError:
            continue
        if codec in _TWO_BYTE_G0:  # Python's codecs write those escapes themselves, and go back to ASCII
            return encoded.replace(b"\x1b(B", b"\x1b(J") if initial == _JIS_X_0201 else encoded
        if codec == initial:
            return encoded
        return _ESCAPE_OF[codec] + encoded
    raise DataSetError("A text has characters that its specific character sets do not have (PS3.5 6.1).")


def choose_charset(texts: Iterable[str], preferred: tuple[str, ...]) -> tuple[str, ...]:
    """() when all of `texts` are ASCII, `preferred` when it has all their characters, otherwise UTF-8."""
    foreign = [text for text in texts if not text.isascii()]
    if not foreign:
        return ()
    try:
        for text in foreign:
            encode_text(text, preferred, "PN")
    except DataSetError:
        return ("ISO_IR 192",)
    return preferred


#: Letters that Unicode does not take apart into a base letter and an accent.
_PLAIN_LETTERS: Final = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ı": "i", "ð": "d"})
_ACCENTS: Final = re.compile("[\u0300-\u036f]")
_SPACES: Final = re.compile(r"\s+")


def fold_name(text: str) -> str:
    """What two spellings of a name or description have in common, for matching (PS3.4 C.2.2.2.1 lets us choose).

    Compatibility forms, accents, case, runs of spaces and empty trailing components do not matter; component groups
    (`=`) stay apart.
    """
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold().translate(_PLAIN_LETTERS)
    folded = _SPACES.sub(" ", unicodedata.normalize("NFC", plain))
    return "=".join(group.strip(" ").rstrip("^ ") for group in folded.split("=")).rstrip("=")
