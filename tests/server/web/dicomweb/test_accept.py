"""PS3.18 8.7: what a request accepts decides what goes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom.uids import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES
from leadglass.errors import LeadglassError, UsageError
from leadglass.server.web.dicomweb.accept import (
    ANYTHING,
    UNUSED_ON_THE_WEB,
    MediaRange,
    Selected,
    Work,
    acceptable,
    is_lossy,
    parse_accept,
    select_bulk,
    select_frames,
    select_instance,
)
from leadglass.server.web.dicomweb.errors import NotAcceptable

JPEG = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
J2K_LOSSLESS = "1.2.840.10008.1.2.4.90"
RLE = "1.2.840.10008.1.2.5"
OHIF = "multipart/related; type=application/octet-stream; transfer-syntax=*"


def every_codec(_source: str, _target: str) -> bool:
    return True


def no_codec(_source: str, _target: str) -> bool:
    return False


def instance(accept: str | None, stored: str, *, alone: bool = False, codecs: bool = True) -> Selected:
    return select_instance(acceptable(accept, None), stored, every_codec if codecs else no_codec, alone=alone)


def frames(accept: str | None, stored: str, *, alone: bool = True, codecs: bool = True) -> Selected:
    return select_frames(acceptable(accept, None), stored, every_codec if codecs else no_codec, alone=alone)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("*/*", ("*/*", None, "", 1000)),
        ("application/dicom", ("application/dicom", False, "", 1000)),
        ('multipart/related; type="application/dicom"', ("application/dicom", True, "", 1000)),
        ("multipart/related;type=application/dicom", ("application/dicom", True, "", 1000)),
        ('Multipart/Related; Type="Application/DICOM"; boundary=**', ("application/dicom", True, "", 1000)),
        ("multipart/related", ("*/*", True, "", 1000)),
        (OHIF, ("application/octet-stream", True, "*", 1000)),
        ("image/jpeg ; q=0.25", ("image/jpeg", False, "", 250)),
        ('image/jls;transfer-syntax="1.2.840.10008.1.2.4.80";q=1.000', ("image/jls", False, JPEG_LS, 1000)),
        ("application/dicom;charset=utf-8;", ("application/dicom", False, "", 1000)),
        (", ,application/dicom,", ("application/dicom", False, "", 1000)),
    ],
)
def test_one_range(field: str, expected: tuple[str, bool | None, str, int]) -> None:
    assert parse_accept(field) == (MediaRange(*expected),)


def test_order_is_by_weight_then_as_given() -> None:
    given = parse_accept("image/jpeg;q=0.5, image/jls, image/jp2;q=0, image/jpx;q=0.5, application/dicom;q=0.9")
    assert [each.media_type for each in given] == ["image/jls", "application/dicom", "image/jpeg", "image/jpx"]


@pytest.mark.parametrize(
    "field",
    [
        "dicom",
        "application/dicom; q=2",
        "application/dicom; q=",
        "application/dicom; type",
        'multipart/related; type="application/dicom',
        "a/b c/d",
        "a/b; transfer-syntax=1; transfer-syntax=2",
        "a/b," * 65,
        "a/" + "b" * 9000,
        "a/b\r\nSet-Cookie: c",
    ],
)
def test_malformed(field: str) -> None:
    with pytest.raises(UsageError):
        parse_accept(field)


@given(st.text(alphabet='ab/*;,="\\ q.01typetransfer-syntax\x00é', max_size=200))
def test_any_text_is_parsed_or_refused(field: str) -> None:
    try:
        ranges = parse_accept(field)
    except LeadglassError:
        return
    assert all(0 < each.weight <= 1000 for each in ranges)
    assert list(ranges) == sorted(ranges, key=lambda each: -each.weight)


def test_the_parameter_goes_first_where_the_header_agrees() -> None:
    both = acceptable("image/*, application/dicom;q=0.5", "image/jp2,text/plain")
    assert [each.media_type for each in both] == ["image/jp2", "image/*", "application/dicom"]
    assert acceptable("application/dicom", "image/jp2") == parse_accept("application/dicom")
    assert acceptable(None, None) == ANYTHING
    with pytest.raises(UsageError, match="wildcard"):
        acceptable("*/*", "image/*")


# Instances.


@pytest.mark.parametrize(
    "accept",
    [
        *(
            None,
            "*/*",
            "application/*",
            "multipart/*",
            "multipart/related",
            'multipart/related; type="application/dicom"',
        ),
        "text/html, application/xml; q=0.9, */*; q=0.8",
    ],
)
def test_without_a_transfer_syntax_it_is_explicit_little_endian(accept: str | None) -> None:
    assert instance(accept, EXPLICIT_LE) == Selected("application/dicom", EXPLICIT_LE, True, Work.NONE)
    for stored in (IMPLICIT_LE, EXPLICIT_BE):
        assert instance(accept, stored).work is Work.REENCODE
    for stored in (JPEG_LOSSLESS, RLE, JPEG_LS, J2K_LOSSLESS):
        assert instance(accept, stored) == Selected("application/dicom", EXPLICIT_LE, True, Work.TRANSCODE)
    assert instance(accept, JPEG) == Selected("application/dicom", JPEG, True, Work.NONE)


def test_as_stored() -> None:
    accept = "multipart/related; type=application/dicom; transfer-syntax=*"
    for stored in TRANSFER_SYNTAXES:
        selected = instance(accept, stored, codecs=False)
        assert selected.transfer_syntax == (EXPLICIT_LE if stored in UNUSED_ON_THE_WEB else stored)
        assert selected.work is (Work.REENCODE if stored in UNUSED_ON_THE_WEB else Work.NONE)


def test_what_the_web_never_carries() -> None:
    for asked in (IMPLICIT_LE, EXPLICIT_BE, "1.2.3"):
        for stored in (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE):
            with pytest.raises(NotAcceptable):
                instance(f"application/dicom; transfer-syntax={asked}", stored, alone=True, codecs=False)


def test_explicit_requests_are_transcoded_where_a_codec_allows() -> None:
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={J2K_LOSSLESS}'
    assert instance(accept, EXPLICIT_LE).work is Work.TRANSCODE
    with pytest.raises(NotAcceptable, match="Nothing that the request accepts"):
        instance(accept, EXPLICIT_LE, codecs=False)
    assert instance(accept, J2K_LOSSLESS, codecs=False).work is Work.NONE


def test_what_lies_there_wins_among_equals() -> None:
    accept = ", ".join(
        f'multipart/related; type="application/dicom"; transfer-syntax={uid}' for uid in (EXPLICIT_LE, RLE, JPEG_LS)
    )
    assert instance(accept, JPEG_LS).work is Work.NONE
    assert instance(accept.replace(EXPLICIT_LE, f"{EXPLICIT_LE};q=0.9"), EXPLICIT_LE).transfer_syntax == RLE


def test_one_part_for_one_instance() -> None:
    assert instance("application/dicom", EXPLICIT_LE, alone=True).multipart is False
    assert instance("application/*", EXPLICIT_LE, alone=True).multipart is False
    assert instance("*/*", EXPLICIT_LE, alone=True).multipart is True
    with pytest.raises(NotAcceptable):
        instance("application/dicom", EXPLICIT_LE, alone=False)
    with pytest.raises(NotAcceptable):
        instance("image/jpeg", EXPLICIT_LE, alone=True)


# Frames.


def test_the_viewers_request_takes_frames_as_stored() -> None:
    for stored in TRANSFER_SYNTAXES:
        selected = frames(OHIF, stored, codecs=False)
        assert selected.multipart
        assert selected.work is not Work.TRANSCODE
    assert frames(OHIF, JPEG).media_type == "image/jpeg"
    assert frames(OHIF, JPEG_LS) == Selected("image/jls", JPEG_LS, True, Work.NONE)
    assert frames(OHIF, RLE).media_type == "image/dicom-rle"
    assert frames(OHIF, EXPLICIT_LE).media_type == "application/octet-stream"
    assert frames(OHIF, EXPLICIT_BE) == Selected("application/octet-stream", EXPLICIT_LE, True, Work.REENCODE)


def test_octets_are_decoded_pixels() -> None:
    accept = 'multipart/related; type="application/octet-stream"'
    assert frames(accept, JPEG_LS) == Selected("application/octet-stream", EXPLICIT_LE, True, Work.TRANSCODE)
    assert frames(accept, IMPLICIT_LE).work is Work.REENCODE
    assert frames(accept, JPEG) == Selected("image/jpeg", JPEG, True, Work.NONE)
    with pytest.raises(NotAcceptable):
        frames(accept, JPEG_LS, codecs=False)


def test_a_media_type_means_its_default_or_what_lies_there() -> None:
    accept = 'multipart/related; type="image/jpeg"'
    assert frames(accept, JPEG).work is Work.NONE
    assert frames(accept, EXPLICIT_LE) == Selected("image/jpeg", JPEG_LOSSLESS, True, Work.TRANSCODE)
    assert frames('multipart/related; type="image/*"', J2K_LOSSLESS).media_type == "image/jp2"
    with pytest.raises(NotAcceptable):
        frames('multipart/related; type="image/*"', EXPLICIT_LE)


@pytest.mark.parametrize("accept", [None, "*/*", "application/*", "multipart/*"])
def test_several_frames_come_in_parts_by_default(accept: str | None) -> None:
    assert frames(accept, EXPLICIT_LE, alone=False) == Selected(
        "application/octet-stream", EXPLICIT_LE, True, Work.NONE
    )


def test_single_parts() -> None:
    assert frames("image/jls", JPEG_LS).multipart is False
    assert frames("application/octet-stream", EXPLICIT_LE).multipart is False
    with pytest.raises(NotAcceptable):
        frames("application/octet-stream", EXPLICIT_LE, alone=False)


def test_bulk_data() -> None:
    offered = ("application/pdf", "application/octet-stream")
    ohif = 'multipart/related; type="application/pdf", multipart/related; type="application/octet-stream"'
    assert select_bulk(acceptable(ohif, None), offered).media_type == "application/pdf"
    assert select_bulk(acceptable("application/octet-stream", None), offered).multipart is False
    assert select_bulk(ANYTHING, offered).multipart is True
    with pytest.raises(NotAcceptable):
        select_bulk(acceptable("image/png", None), offered)


def ranges() -> st.SearchStrategy[str]:
    names = st.sampled_from(["application/dicom", "application/octet-stream", "image/jpeg", "image/*", "*/*"])
    syntaxes = st.sampled_from(["", "*", *TRANSFER_SYNTAXES, "1.2.3"])

    def spell(name: str, multipart: bool, syntax: str, weight: int) -> str:
        base = f'multipart/related; type="{name}"' if multipart else name
        return base + (f"; transfer-syntax={syntax}" if syntax else "") + f"; q=0.{weight:03}"

    return st.lists(st.builds(spell, names, st.booleans(), syntaxes, st.integers(0, 999)), min_size=1, max_size=6).map(
        ", ".join
    )


@given(ranges(), st.sampled_from(sorted(TRANSFER_SYNTAXES)), st.booleans(), st.booleans(), st.booleans())
def test_whatever_is_selected_was_acceptable(
    accept: str, stored: str, alone: bool, codecs: bool, of_frames: bool
) -> None:
    offered = acceptable(accept, None)
    select = select_frames if of_frames else select_instance
    try:
        selected = select(offered, stored, every_codec if codecs else no_codec, alone=alone)
    except NotAcceptable:
        return
    assert selected.transfer_syntax not in UNUSED_ON_THE_WEB
    assert selected.multipart or alone
    assert codecs or selected.work is not Work.TRANSCODE
    assert (selected.work is Work.NONE) == (selected.transfer_syntax == stored)
    assert any(
        each.transfer_syntax in ("", "*", selected.transfer_syntax)
        and (each.covers(selected.media_type) or each.media_type == "application/octet-stream")
        for each in offered
    )
    if not any(each.transfer_syntax for each in offered) and not of_frames:
        assert selected.transfer_syntax == EXPLICIT_LE or is_lossy(stored)
