"""Say what is wrong with a template, and what its readers or its payer would mind."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import RenderError
from fixlify.domain.facts import Facts
from fixlify.rendering.checking import check_template
from fixlify.rendering.compiling import DefectiveTemplateError, compile_part
from fixlify.rendering.grammar import Part
from fixlify.rendering.languages import language
from fixlify.rendering.messages import render_email, render_sms

# What word processors write, and what a phone sends in seven bits instead.
REPLACEMENTS: Final = {
    "\u2018": "'",
    "\u2019": "'",
    "\u201a": "'",
    "\u2032": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u201e": '"',
    "\u2033": '"',
    "\u00ab": '"',
    "\u00bb": '"',
    "\u2013": "-",
    "\u2014": "-",
    "\u2212": "-",
    "\u2010": "-",
    "\u2011": "-",
    "\u2022": "-",
    "\u2026": "...",
    "\u00a0": " ",
    "\u202f": " ",
    "\u2009": " ",
    "`": "'",
    "\u00b4": "'",
    "\t": " ",
}
_IN_BRACES: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a template: where (``es text line 3``), what, and whether it stops it."""

    place: str
    message: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Company:
    """What a template is judged against: samples of facts by locale, and which links are set.

    ``links`` is None where no company is known. ``segments`` counts those of a text message.
    """

    locale: str
    sample: Callable[[str], Facts]
    segments: Callable[[str], int]
    links: Collection[str] | None = None


def lint(source: TemplateSource, own: str, company: Company) -> list[Finding]:
    """Return what is to be said of *source*, whose own language is *own*; errors first."""
    texts = {own: source, **source.translations}
    findings = [
        Finding(_placed(locale, finding.place, own), finding.message, finding.is_error)
        for locale, text in texts.items()
        for finding in _of_language(text, locale, company)
    ]
    findings += _untranslated(source, own, company)
    return sorted(findings, key=lambda finding: not finding.is_error)


def _of_language(source: TemplateSource, locale: str, company: Company) -> Iterator[Finding]:
    defects = list(_defects(source))
    yield from defects
    if defects:
        return
    facts = company.sample(locale)
    yield from _links(source, facts, company)
    if source.subject is not None:
        yield from _rendered(lambda: render_email(source, facts))
    if source.sms is not None:
        yield from _rendered(lambda: render_sms(source, facts))
        yield from _text_message(source.sms, source, facts, company)


def _defects(source: TemplateSource) -> Iterator[Finding]:
    if source.subject is None and source.text is None and source.sms is None:
        yield Finding("", "says nothing: it has neither an email nor a text message", True)
    if source.subject is not None or source.text is not None or source.html is not None:
        for problem in check_template(source, channel="email"):
            yield Finding(problem.path, problem.message, True)
    if source.sms is not None:
        for problem in check_template(source, channel="sms"):
            yield Finding(problem.path, problem.message, True)


def _rendered(render: Callable[[], object]) -> Iterator[Finding]:
    try:
        render()
    except RenderError as error:
        place, _, why = str(error).partition(": ")
        message = f"cannot be sent, even with every field filled in: {why or place}"
        yield Finding(place if why else "", message, True)


def _links(source: TemplateSource, facts: Facts, company: Company) -> Iterator[Finding]:
    if company.links is None:
        return
    for part in Part:
        text: str | None = getattr(source, part)
        for field in sorted(_fields(part, text)):
            group, _, name = field.partition(".")
            if group != "links" or name in company.links:
                continue
            without = facts.model_copy(
                update={"links": facts.links.model_copy(update={name: None})}
            )
            needed = _fails(source, part, without)
            yield Finding(
                part.value,
                f"uses 'links.{name}', which the company has not set, so "
                + ("it cannot be sent; " if needed else "what depends on it is left out; ")
                + f"`fixlify organization set --link {name}=https://…`",
                needed,
            )


def _fails(source: TemplateSource, part: Part, facts: Facts) -> bool:
    try:
        render_sms(source, facts) if part is Part.SMS else render_email(source, facts)
    except RenderError:
        return True
    return False


def _fields(part: Part, text: str | None) -> set[str]:
    if text is None:
        return set()
    try:
        return set(compile_part(part, text).fields.values())
    except DefectiveTemplateError:
        return set()


def _text_message(
    text: str, source: TemplateSource, facts: Facts, company: Company
) -> Iterator[Finding]:
    try:
        sent = render_sms(source, facts).text
    except RenderError:
        return
    costly = [each for each in dict.fromkeys(_IN_BRACES.sub("", text)) if _is_costly(each, company)]
    for character in costly:
        line = text.count("\n", 0, text.index(character)) + 1
        name = unicodedata.name(character, f"U+{ord(character):04X}").lower()
        better = REPLACEMENTS.get(character)
        advice = f"write {better!r}" if better else "leave it out"
        yield Finding(
            f"sms line {line}",
            f"'{character}' ({name}) makes a segment 70 characters long instead of 160; {advice}",
        )
    count = company.segments(sent)
    if count > 1:
        plain = "" if not costly else f", {company.segments(plain_sms(sent))} without those"
        yield Finding(
            "sms",
            f"is {count} segments long with the sample ({len(sent)} characters{plain}); each is "
            "billed",
        )


def plain_sms(text: str) -> str:
    """Return *text* with what word processors write replaced by what phones send in seven bits."""
    return "".join(REPLACEMENTS.get(character, character) for character in text)


def _is_costly(character: str, company: Company) -> bool:
    # 160 of a character fill one segment where it takes seven bits, and two of those that take
    # fourteen; three where none can be sent in seven.
    return company.segments(character * 160) > 2


def _untranslated(source: TemplateSource, own: str, company: Company) -> Iterator[Finding]:
    for locale, text in source.translations.items():
        for part in Part:
            if getattr(source, part) is not None and getattr(text, part) is None:
                missing = f"is missing in {locale}; those clients get none"
                if part is Part.HTML:
                    yield Finding(f"{locale} {part}", f"is missing in {locale}, so mail is plain")
                else:
                    yield Finding(f"{locale} {part}", f"{missing}: translate it", True)
    spoken = {language(locale) for locale in (own, *source.translations)}
    if company.links is not None and language(company.locale) not in spoken:
        yield Finding(
            "",
            f"is not in the company's own language, {company.locale}; add a folder "
            f"{language(company.locale)}/ with its texts",
        )


def _placed(locale: str, place: str, own: str) -> str:
    return place if locale == own else f"{locale} {place}".strip()
