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
from fixlify.domain.segments import segments_of
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

    ``links`` is None where no company is known.
    """

    locale: str
    sample: Callable[[str], Facts]
    links: Collection[str] | None = None


def lint(source: TemplateSource, own: str, company: Company) -> list[Finding]:
    """Return what is to be said of *source*, whose own language is *own*; errors first."""
    findings = [
        Finding(_placed(locale, finding.place, own), finding.message, finding.is_error)
        for locale, text in {own: source, **source.translations}.items()
        for finding in _of_language(text, source, locale, company)
    ]
    findings += _untranslated(source, own, company)
    return sorted(findings, key=lambda finding: not finding.is_error)


def _of_language(
    text: TemplateSource, whole: TemplateSource, locale: str, company: Company
) -> Iterator[Finding]:
    defects = list(_defects(text))
    yield from defects
    if defects:
        return
    facts = company.sample(locale)
    yield from _links(text, whole, facts, company)
    if text.subject is not None:
        yield from _rendered(lambda: render_email(whole, facts))
    if text.sms is not None:
        yield from _rendered(lambda: render_sms(whole, facts))
        yield from _text_message(text.sms, whole, facts)


def _defects(source: TemplateSource) -> Iterator[Finding]:
    if all(getattr(source, part) is None for part in Part):
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


def _links(
    text: TemplateSource, whole: TemplateSource, facts: Facts, company: Company
) -> Iterator[Finding]:
    if company.links is None:
        return
    for part in Part:
        for field in sorted(_fields(part, getattr(text, part))):
            group, _, name = field.partition(".")
            if group != "links" or name in company.links:
                continue
            without = facts.model_copy(
                update={"links": facts.links.model_copy(update={name: None})}
            )
            needed = _fails(whole, part, without)
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


def _text_message(text: str, whole: TemplateSource, facts: Facts) -> Iterator[Finding]:
    try:
        sent = render_sms(whole, facts).text
    except RenderError:
        return
    written = _IN_BRACES.sub(lambda found: "\n" * found[0].count("\n"), text)
    odd = segments_of(written).odd
    for character in odd:
        line = written.count("\n", 0, written.index(character)) + 1
        name = unicodedata.name(character, f"U+{ord(character):04X}").lower()
        better = REPLACEMENTS.get(character)
        advice = f"write {better!r}" if better else "leave it out, or know that it costs"
        yield Finding(
            f"sms line {line}",
            f"'{character}' ({name}) makes a segment 70 characters long instead of 160; {advice}",
        )
    count = segments_of(sent).count
    if count > 1:
        plain = f", {segments_of(plain_sms(sent)).count} with those replaced" if odd else ""
        yield Finding(
            "sms",
            f"is {count} segments with the sample's data ({len(sent)} characters{plain}); each is "
            "billed",
        )


def plain_sms(text: str) -> str:
    """Return *text* with what word processors write replaced by what phones send in seven bits."""
    return "".join(REPLACEMENTS.get(character, character) for character in text)


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
