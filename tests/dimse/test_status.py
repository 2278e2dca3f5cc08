import pytest

from leadglass.dimse.status import describe, is_pending, is_warning


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0x0000, "success (0000H)"),
        (0xA700, "out of resources (A700H)"),
        (0xA7FF, "out of resources (A7FFH)"),
        (0xA901, "data set does not match its SOP class (A901H)"),
        (0xB007, "warning (B007H)"),
        (0xC123, "cannot understand or unable to process (C123H)"),
        (0xC311, "other pixels under a known SOP Instance UID (C311H)"),
        (0x0199, "failure (0199H)"),
    ],
)
def test_every_status_has_words(status: int, words: str) -> None:
    assert describe(status) == words


def test_classes_of_status() -> None:
    assert [is_pending(status) for status in (0xFF00, 0xFF01, 0x0000, 0xFE00)] == [True, True, False, False]
    assert [is_warning(status) for status in (0xB000, 0x0001, 0x0107, 0x0000, 0xA700)] == [True] * 3 + [False] * 2
