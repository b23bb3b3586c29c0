"""Segments are counted as phone networks and Twilio's bill do."""

import pytest

from fixlify.domain.segments import Segments, number_of_segments, segments_of


@pytest.mark.parametrize(
    ("body", "segments"),
    [
        ("", 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("ä" * 160, 1),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # 152 and a half: the euro sign of two units moves to the next part whole.
        ("x" * 152 + "€" + "x" * 152, 3),
        ("ł" * 70, 1),
        ("ł" * 71, 2),
        ("ł" * 134, 2),
        ("ł" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        # 33 emoji fill 66 of 67 units; the 34th does not fit in the one that is left.
        ("😀" * 66, 2),
        ("😀" * 67, 3),
    ],
)
def test_a_body_is_cut_into_segments(body: str, segments: int) -> None:
    assert number_of_segments(body) == segments


def test_what_forces_the_larger_alphabet_is_named_once_and_in_order() -> None:
    assert segments_of("It\u2019s done 🎉 \u2013 it\u2019s done 🎉") == Segments(
        "UCS-2", 27, 1, ("\u2019", "🎉", "\u2013")
    )


def test_a_plain_text_has_nothing_odd_and_counts_what_takes_two() -> None:
    assert segments_of("5 € [net]\n") == Segments("GSM-7", 13, 1)


def test_what_a_reader_takes_for_one_character_is_never_split() -> None:
    family = "👨‍👩‍👧"
    assert number_of_segments("ł" * 66 + family + "ł" * 59) == 2
    assert number_of_segments("ł" * 66 + family + "ł" * 60) == 3
