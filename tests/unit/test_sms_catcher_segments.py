"""The SMS catcher counts segments as phone networks and Twilio's bill do."""

import pytest

from fixlify.channels.sms.segments import number_of_segments


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
