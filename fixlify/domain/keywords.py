"""The words by which people say what they want of text messages: no more, again, or help."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple
from unicodedata import category, normalize

# No such word is longer, and nobody looks for one in megabytes.
_LONGEST_BODY: Final = 100


class KeywordKind(StrEnum):
    """What a keyword asks for."""

    STOP = "stop"
    START = "start"
    HELP = "help"


class Keyword(NamedTuple):
    """A keyword that somebody wrote, in plain small letters.

    ``language`` is two letters, and None where the word is one of several languages.
    """

    kind: KeywordKind
    word: str
    language: str | None


# The first of each kind is English: Twilio's own words, which American carriers ask for
# (https://help.twilio.com/articles/223134027), and how people write them as two. Words of other
# languages that as well call off a visit are left out, but for the Spanish one, which carriers
# list. YES opts nobody in, in no language: it answers questions.
_WORDS: Final[Mapping[KeywordKind, Mapping[str, str]]] = MappingProxyType(
    {
        KeywordKind.STOP: {
            "en": "stop stopall unsubscribe cancel end quit revoke optout stopplease pleasestop "
            "stopmessages stoptexting stoptexts stopsms unsubscribeme removeme",
            "es": "alto parar pare baja cancelar detener desuscribir desuscribirse "
            "desuscribirme darmedebaja darsedebaja",
            "fr": "arret arreter arretez arretsms desabonner desabonnement desinscrire "
            "desinscription",
            "de": "stopp abmelden abmeldung abbestellen austragen",
            "pt": "parar pare sair descadastrar descadastrarme",
            "it": "basta ferma disiscrivimi disiscriviti disiscrizione",
            "nl": "afmelden uitschrijven stoppen",
            "pl": "wypisz zatrzymaj rezygnuje",
        },
        KeywordKind.START: {
            "en": "start unstop optin startplease resubscribe",
            "es": "iniciar comenzar empezar alta",
            "fr": "demarrer commencer reprendre reabonner",
            "de": "starten anmelden",
            "pt": "iniciar comecar",
            "it": "inizia avvia iscrivimi",
            "nl": "starten aanmelden",
            "pl": "wznow zapisz",
        },
        KeywordKind.HELP: {
            "en": "help helpme",
            "es": "ayuda",
            "fr": "aide",
            "de": "hilfe",
            "pt": "ajuda",
            "it": "aiuto",
            "nl": "hulp",
            "pl": "pomoc",
            # Of no language, and of all of them.
            "": "info",
        },
    }
)


def _index() -> dict[str, Keyword]:
    found: dict[str, Keyword] = {}
    for kind, languages in _WORDS.items():
        for language, words in languages.items():
            for word in words.split():
                only = language or None if word not in found else None
                found[word] = Keyword(kind, word, only)
    return found


_KEYWORDS: Final[Mapping[str, Keyword]] = MappingProxyType(_index())


def read_keyword(body: str | None) -> Keyword | None:
    """Return the keyword that a text message is; None where it says anything else.

    The whole message is the word. Case, accents, spaces, punctuation and pictures do not count.
    """
    if body is None or len(body) > _LONGEST_BODY:
        return None
    decomposed = normalize("NFKD", normalize("NFKC", body).casefold())
    letters = (each for each in decomposed if category(each)[0] in "LN")
    return _KEYWORDS.get("".join(letters))
