"""The page on consent lists the words about text messages that there are, and no other."""

from __future__ import annotations

from pathlib import Path

from fixlify.domain import keywords
from fixlify.domain.keywords import KeywordKind, read_keyword

_PAGE = Path(__file__).parents[2] / "docs" / "consent.md"
_KINDS = (KeywordKind.STOP, KeywordKind.START, KeywordKind.HELP)


def test_the_words_are_listed_under_what_they_do() -> None:
    table = _PAGE.read_text().partition("| | no more | again | help |")[2].partition("\n\n")[0]
    rows = [line.strip("|").split("|")[1:] for line in table.splitlines()[2:]]
    listed = set()
    for row in rows:
        for kind, cell in zip(_KINDS, row, strict=True):
            for word in cell.split(","):
                found = read_keyword(word)
                assert found is not None, word
                assert found.kind is kind, word
                listed.add(found.word)
    assert listed == set(keywords._KEYWORDS)
