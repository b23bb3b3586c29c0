"""Words about text messages: in the usual languages, however they are typed, and no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixlify.domain.keywords import KeywordKind, read_keyword


@pytest.mark.parametrize(
    "body",
    [
        *("STOP", "stop", " Stop. ", "S T O P", "\uff33\uff34\uff2f\uff30", "STOP \U0001f6d1"),
        *("\u200fSTOP\u200f", "STOP\r\n", "Stop all", "stop-all", "UNSUBSCRIBE", "Unsubscribe me"),
        *("Cancel", "END", "quit", "REVOKE", "opt out", "Opt-Out", "please stop"),
        *("ALTO", "Parar", "BAJA", "cancelar", "Arrêt", "ARRET", "arr\u0065\u0302t", "désabonner"),
        *("STOPP", "Abmelden", "SAIR", "disiscrivimi", "AFMELDEN", "wypisz", "Rezygnuję"),
    ],
)
def test_a_word_that_opts_out(body: str) -> None:
    keyword = read_keyword(body)
    assert keyword is not None
    assert keyword.kind is KeywordKind.STOP


@pytest.mark.parametrize(
    "body", ["START", "unstop", "Opt in", "INICIAR", "Démarrer", "starten", "começar", "Wznów"]
)
def test_a_word_that_opts_in(body: str) -> None:
    keyword = read_keyword(body)
    assert keyword is not None
    assert keyword.kind is KeywordKind.START


@pytest.mark.parametrize(
    ("body", "language"),
    [
        *(("HELP", "en"), ("help!", "en"), ("Ayuda", "es"), ("AIDE", "fr"), ("Hilfe", "de")),
        *(("ajuda", "pt"), ("AIUTO", "it"), ("hulp", "nl"), ("POMOC", "pl"), ("INFO", None)),
    ],
)
def test_a_word_that_asks_for_help_says_in_which_language(body: str, language: str | None) -> None:
    keyword = read_keyword(body)
    assert keyword is not None
    assert (keyword.kind, keyword.language) == (KeywordKind.HELP, language)


@pytest.mark.parametrize(
    "body",
    [
        *("YES", "yes", "Y", "Sí", "si", "Oui", "ja", "sim", "tak", "OK", "NO"),
        *(
            "Please stop by at nine",
            "stop it",
            "the end",
            "Don't stop",
            "helpful",
            "1",
            "",
            " ",
            None,
        ),
        *("Annuler", "annulla", "stornieren", "STOP " * 1000),
    ],
)
def test_an_answer_is_no_such_word(body: str | None) -> None:
    """Also what calls off a visit, in languages where no carrier asks for the word."""
    assert read_keyword(body) is None


@given(st.text())
def test_any_text_can_be_read(body: str) -> None:
    read_keyword(body)
