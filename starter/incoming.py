"""Make templates of the texts that were read: convert each, and see that a message can be sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import DefinitionError, Problem
from fixlify.rendering.exports import RawText
from fixlify.rendering.grammar import Part
from fixlify.rendering.importing import convert
from fixlify.rendering.plain_text import text_of
from starter.templates import IncomingTemplate


@dataclass(frozen=True, slots=True)
class Incoming:
    """The templates that can be stored, what is wrong with others, and what was added."""

    templates: list[IncomingTemplate] = field(default_factory=list)
    refused: list[DefinitionError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def assembled(texts: Iterable[RawText]) -> Incoming:
    """Return the templates that *texts* are parts of, converted into our syntax.

    A template with any problem is refused as a whole. Mail that has HTML alone gets a text part
    made of it.
    """
    found = Incoming()
    by_name: dict[str, list[RawText]] = {}
    for text in texts:
        by_name.setdefault(text.name, []).append(text)
    for name, own in sorted(by_name.items()):
        refused: list[DefinitionError] = []
        sources = _sources(own, refused, found.notes)
        if not refused:
            refused += [
                DefinitionError(_origin(own), [problem])
                for locale, parts in sources.items()
                for problem in _unsendable(locale, parts, sources.get(None, {}))
            ]
        if refused:
            found.refused.extend(refused)
            continue
        complete = {
            locale: TemplateSource(**{part.value: text for part, text in parts.items()})
            for locale, parts in sources.items()
        }
        found.templates.append(IncomingTemplate(name, _origin(own), complete))
    return found


def _sources(
    own: list[RawText], refused: list[DefinitionError], notes: list[str]
) -> dict[str | None, dict[Part, str]]:
    sources: dict[str | None, dict[Part, str]] = {}
    places: dict[tuple[str | None, Part], str] = {}
    for raw in own:
        key = (raw.locale, raw.part)
        if key in places:
            what = f"the {raw.part.value} of '{raw.name}' is in {places[key]} too; keep one"
            refused.append(DefinitionError(raw.place, [Problem("", what)]))
            continue
        places[key] = raw.place
        converted = convert(raw.part, raw.text)
        if converted.problems:
            refused.append(DefinitionError(raw.place, list(converted.problems)))
        sources.setdefault(raw.locale, {})[raw.part] = converted.text
    for locale, parts in sources.items():
        if Part.HTML in parts and Part.TEXT not in parts and not refused:
            made = convert(Part.TEXT, text_of(parts[Part.HTML]))
            if made.problems:
                place = places[locale, Part.HTML]
                why = f"no text part can be made of it ({made.problems[0]}); write one"
                refused.append(DefinitionError(place, [Problem("", why)]))
            else:
                parts[Part.TEXT] = made.text
                notes.append(f"{places[locale, Part.HTML]}: a text part was made of the HTML")
    return sources


def _unsendable(
    locale: str | None, parts: dict[Part, str], own: dict[Part, str]
) -> Iterable[Problem]:
    """Yield what keeps *parts* from being a message in one language."""
    where = locale or ""
    if Part.SUBJECT in parts and Part.TEXT not in parts:
        yield Problem(where, "has a subject and no body; add body.txt or body.html")
    if Part.TEXT in parts and Part.SUBJECT not in parts:
        yield Problem(where, "has a body and no subject, which no email goes without; add one")
    for part in (Part.SUBJECT, Part.TEXT, Part.SMS):
        if part in own and part not in parts:
            yield Problem(where, f"lacks the {part.value} that its own language has; translate it")


def _origin(own: list[RawText]) -> str:
    places = list(dict.fromkeys(raw.place for raw in own))
    return places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"
