"""Our count of segments is that of Twilio's own calculator."""

from __future__ import annotations

import random

from fixlify.domain.segments import segments_of
from tests.html.tools import run_node

_GSM = "abcdefghij XYZ 0123456789 .,:;!?@£$¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉäöñüà§¿¡¤\n"
_EXTENDED = "\f^{}\\[~]|€"
_UNUSUAL = "łçáíóúâêîôûë“”\u2018\u2019\u2013—…•" + "日本語にほん한국어العربيةעבריתไทย"
_EMOJI = "😀🎉🚀🔧🇲🇽🇺🇸👍👍🏽👩‍🚀👨‍👩‍👧‍👦❤️☎️1️⃣🏻"
_COMBINING = "\u0301\u0308\u0327\u20e3\u200d\u200c\ufe0f"
_CONTROLS = "\r\n\t\x00\x0b\u2028\u200b\ufeff"

_ALPHABETS = (
    (_GSM,),
    (_GSM, _EXTENDED),
    (_GSM, _GSM, "\r\n"),
    (_GSM, _UNUSUAL),
    (_GSM, _EMOJI),
    (_EMOJI, _COMBINING, "ae"),
    (_EXTENDED, _EMOJI, "\r\n"),
    (_GSM, _EXTENDED, _UNUSUAL, _EMOJI, _COMBINING, _CONTROLS),
)
# Around every place where one segment more begins.
_LENGTHS = (0, 1, 30, 66, 67, 68, 69, 70, 71, 134, 135, 152, 153, 159, 160, 161, 306, 307, 700)


def _texts() -> list[str]:
    chance = random.Random(20261122)  # noqa: S311 - repeatable, not secret
    texts = [
        "".join(
            chance.choice(chance.choice(alphabets))
            for _ in range(max(0, chance.choice(_LENGTHS) + chance.randint(-3, 3)))
        )
        for alphabets in _ALPHABETS
        for _ in range(240)
    ]
    # Long runs with one odd character anywhere in them, and "\r\n" at the edges.
    for _ in range(200):
        text = list("x" * chance.randint(60, 320))
        for _ in range(chance.randint(1, 3)):
            text.insert(
                chance.randrange(len(text)),
                chance.choice(["👨‍👩‍👧‍👦", "€", "\r\n", "e\u0301", "🇫🇷"]),
            )
        texts.append("".join(text))
    return texts


def test_two_thousand_random_texts_have_as_many_segments_as_twilio_counts() -> None:
    texts = _texts()
    assert len(texts) > 2_000
    theirs = run_node("segments.js", texts)
    ours = [[s.encoding, s.count] for s in map(segments_of, texts)]
    differing = [
        (text, mine, twilio)
        for text, mine, twilio in zip(texts, ours, theirs, strict=True)
        if mine != twilio
    ]
    assert differing == []


def test_every_character_is_of_the_alphabet_that_twilio_puts_it_in() -> None:
    characters = [chr(code) for code in range(0x3000) if not 0xD800 <= code <= 0xDFFF]
    theirs = run_node("segments.js", characters)
    assert [segments_of(c).encoding for c in characters] == [encoding for encoding, _ in theirs]
