"""What is answered to a text message that asks for help: who writes, how to reach them, an end."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fixlify.storage.inbound import Company

DEFAULT_LANGUAGE: Final = "en"

# STOP is understood in every language, and by Twilio itself. In letters of the phone network's
# own alphabet, as people write texts: others would double what an answer costs.
_REPLIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "en": "{company} sends you these messages. {contact}Reply STOP to get no more.",
        "es": "{company} le manda estos mensajes. {contact}Responda STOP para no recibirlos.",
        "fr": "{company} vous envoie ces messages. {contact}STOP pour ne plus en recevoir.",
        "de": "{company} schickt Ihnen diese Nachrichten. {contact}Mit STOP enden sie.",
        "pt": "{company} envia estas mensagens. {contact}Responda STOP para deixar de receber.",
        "it": "{company} le invia questi messaggi. {contact}Risponda STOP per non riceverne più.",
        "nl": "{company} stuurt u deze berichten. {contact}Antwoord STOP en ze houden op.",
        "pl": "{company} wysyla te wiadomosci. {contact}Odpowiedz STOP, by ich nie dostawac.",
    }
)
_CONTACT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "en": "Questions: {ways}. ",
        "es": "Preguntas: {ways}. ",
        "fr": "Questions : {ways}. ",
        "de": "Fragen: {ways}. ",
        "pt": "Perguntas: {ways}. ",
        "it": "Domande: {ways}. ",
        "nl": "Vragen: {ways}. ",
        "pl": "Pytania: {ways}. ",
    }
)
_LONGEST_PART: Final = 100


def help_reply(company: Company, language: str | None) -> str:
    """Return the answer, in *language* (two letters) or else in the company's own.

    Where neither is one of ours, in English.
    """
    wanted = (language or "", company.locale.replace("-", "_").partition("_")[0])
    chosen = next((each for each in wanted if each in _REPLIES), DEFAULT_LANGUAGE)
    ways = ", ".join(_plain(each) for each in (company.phone, company.email) if each)
    contact = _CONTACT[chosen].format(ways=ways) if ways else ""
    return _REPLIES[chosen].format(company=_plain(company.name), contact=contact)


def _plain(words: str) -> str:
    """Return *words* on one line, without what nobody can see."""
    return "".join(each for each in " ".join(words.split()) if each.isprintable())[:_LONGEST_PART]
