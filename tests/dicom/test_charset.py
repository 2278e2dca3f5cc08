import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_charset_files

from leadglass.dicom.charset import (
    choose_charset,
    decode_text,
    defined_terms,
    encode_text,
    fold_name,
    parse_charsets,
)
from leadglass.errors import DataSetError

# PS3.5 Annexes H.3.1, H.3.2, I.2 and J.3.
H31 = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
H32 = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"
I2 = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
J1 = b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1="


@pytest.mark.parametrize(
    ("raw", "charsets", "text"),
    [
        (H31, "\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (H32, "ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (I2, "\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
        (J1, "ISO_IR 192", "Wang^XiaoDong=王^小東="),
        (b"Buc^J\xe9r\xf4me ", "ISO_IR 100", "Buc^Jérôme"),
        (b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "ISO_IR 126", "Διονυσιος"),
        (b"\xff\xfe", "ISO_IR 192", "\ufffd\ufffd"),
        (b"\x1b$)C\xfb", "\\ISO 2022 IR 149", "\ufffd"),
        (b"M\xfcller", "", "Müller"),
    ],
)
def test_names(raw: bytes, charsets: str, text: str) -> None:
    assert decode_text(raw, parse_charsets(charsets), "PN") == text


#: Without a name at the top level.
NAMELESS = ("chrSQEncoding.dcm", "chrSQEncoding1.dcm", "FileInfo.txt")


@pytest.mark.parametrize(
    "name", [name for name in get_charset_files() if not name.endswith(NAMELESS)], ids=lambda name: Path(name).name
)
def test_files_read_as_pydicom_reads_them(name: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        dataset = pydicom.dcmread(name, force=True)
        raw = dataset.get_item("PatientName")
        charsets = parse_charsets(
            "\\".join([v] if isinstance(v := dataset.get("SpecificCharacterSet", ""), str) else list(v))
        )
        assert raw is not None
        assert isinstance(raw.value, bytes)
        expected = str(dataset.PatientName)
    assert decode_text(raw.value, charsets, "PN").rstrip("=") == expected.rstrip("=")


@pytest.mark.parametrize(
    ("value", "terms"),
    [
        ("ISO_IR 100", ("ISO_IR 100",)),
        ("ISO-IR 100", ("ISO_IR 100",)),
        ("ISO 2022 IR 100", ("ISO_IR 100",)),
        ("", ()),
        ("ISO_IR 6", ()),
        ("\\ISO 2022 IR 87", ("ISO_IR 6", "ISO_IR 87")),
        ("ISO_IR 192\\ISO 2022 IR 87", ("ISO_IR 192",)),
        ("gb18030", ("GB18030",)),
        ("NOBODY'S", ()),
    ],
)
def test_defined_terms(value: str, terms: tuple[str, ...]) -> None:
    assert parse_charsets(value) == terms


@pytest.mark.parametrize(
    ("text", "charsets"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", ("ISO_IR 6", "ISO_IR 87")),
        ("Yamada^Tarou=山田^太郎", ("ISO_IR 87",)),
        ("Hong^Gildong=洪^吉洞=홍^길동", ("ISO_IR 6", "ISO_IR 149")),
        ("Müller^Jürgen=Διονυσιος", ("ISO_IR 100", "ISO_IR 126")),
        ("Wang^XiaoDong=王^小东", ("GB18030",)),
        ("Wang^XiaoDong=王^小东", ("ISO_IR 192",)),
        ("Łukasz", ("ISO_IR 101",)),
    ],
)
def test_encoding_comes_back(text: str, charsets: tuple[str, ...]) -> None:
    raw = encode_text(text, charsets, "PN")
    assert decode_text(raw, parse_charsets(defined_terms(charsets)), "PN") == text


@pytest.mark.parametrize(
    ("charsets", "vr"),
    [((), "PN"), (("ISO_IR 100",), "PN"), (("ISO_IR 6", "ISO_IR 87"), "PN"), (("ISO_IR 192",), "CS")],
)
def test_what_cannot_be_encoded(charsets: tuple[str, ...], vr: str) -> None:
    with pytest.raises(DataSetError) as caught:
        encode_text("홍길동", charsets, vr)
    assert "홍" not in str(caught.value)


def test_choice() -> None:
    assert choose_charset(["Doe^Jane"], ("ISO_IR 100",)) == ()
    assert choose_charset(["Doe^Jane", "Müller"], ("ISO_IR 100",)) == ("ISO_IR 100",)
    assert choose_charset(["山田"], ("ISO_IR 100",)) == ("ISO_IR 192",)
    assert choose_charset(["Müller"], ()) == ("ISO_IR 192",)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller^Jürgen", "MULLER^JURGEN^^"),
        ("Ångström  ^A", "angstrom ^a"),
        ("Łódź", "lodz"),
        ("Straße", "STRASSE"),
        ("ＡＢＣ", "abc"),
        ("Doe^Jane==", "doe^jane"),
        ("Doe^^=山田", "doe=山田"),
    ],
)
def test_names_that_match(one: str, other: str) -> None:
    assert fold_name(one) == fold_name(other)


def test_names_that_do_not_match() -> None:
    assert fold_name("が") != fold_name("か")
    assert fold_name("Doe^Jane") != fold_name("Doe Jane")


def test_jis_x_0201_has_no_kanji() -> None:
    """PS3.5 H.3.2: kanji are written with an escape, after which the initial G0 of ISO IR 13 is JIS X 0201 again."""
    name, charsets = "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", ("ISO_IR 13", "ISO_IR 87")
    encoded = encode_text(name, charsets, "PN")
    assert encoded == b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J"
    assert decode_text(encoded, charsets, "PN") == name
    with pytest.raises(DataSetError):
        encode_text(name, ("ISO_IR 13",), "PN")
    assert choose_charset([name], ("ISO_IR 13",)) == ("ISO_IR 192",)
