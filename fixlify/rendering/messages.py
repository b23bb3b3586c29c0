"""Render the parts of a template into the texts of one message."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from jinja2 import Template

from fixlify.domain.automation import TemplateSource
from fixlify.domain.errors import RenderError
from fixlify.domain.facts import Facts
from fixlify.domain.models import Frozen
from fixlify.domain.segments import MOST_SEGMENTS, segments_of
from fixlify.rendering.compiling import CompiledPart, DefectiveTemplateError, compile_part
from fixlify.rendering.filters import FORMATS
from fixlify.rendering.formats import formats_for
from fixlify.rendering.grammar import Part, at
from fixlify.rendering.languages import language
from fixlify.rendering.layout import (
    BRAND_VARIABLES,
    Letterhead,
    brand_of,
    on_page,
    unsubscribe_line,
)
from fixlify.rendering.layout.links import check_links
from fixlify.rendering.variables import clean, value_of

LONGEST_SUBJECT = 200
LONGEST_SMS = 1_600
"""Characters Twilio takes in one message, however many segments that is."""
LONGEST_BODY = 262_144
"""Characters of any part; rendering stops there."""


class RenderedEmail(Frozen):
    """The texts of one email. ``subject`` is one line; ``html`` is None for plain mail."""

    subject: str
    text: str
    html: str | None = None


class RenderedSms(Frozen):
    """The text of one text message: ``LONGEST_SMS`` characters and ``MOST_SEGMENTS`` at most."""

    text: str


def render_email(
    source: TemplateSource, facts: Facts, *, unsubscribe_url: str | None = None
) -> RenderedEmail:
    """Return the email that *source* makes of *facts*, in the client's language if it has it.

    An html part is put on the layout's page unless it is a whole document itself.

    Args:
        source: What it says, with its translations.
        facts: What it speaks of.
        unsubscribe_url: Where a person goes who wants no more of these; shown in the foot, and
            in the last line of the text. None for messages one cannot unsubscribe from.

    Raises:
        RenderError: A part is missing, names something unknown or empty, or comes out empty
            or too long, or a link in it leads nowhere. The message names the part and the
            variable, never a value.
    """
    locale = language_of(source, facts)
    source = source.in_language_of(facts.locale)
    subject = one_line(_render(Part.SUBJECT, source.subject, facts))
    text = _render(Part.TEXT, source.text, facts)
    html = None
    if source.html is not None:
        html = _render(Part.HTML, source.html, facts)
        if compile_part(Part.HTML, source.html).belongs_on_page:
            html = _on_page(html, subject, text, facts, locale, unsubscribe_url)
        try:
            check_links(html)
        except RenderError as error:
            raise RenderError(f"{Part.HTML.value}: {error}") from None
    if unsubscribe_url is not None:
        text = f"{text}\n\n{unsubscribe_line(unsubscribe_url, locale)}"
    return RenderedEmail(subject=subject, text=text, html=html)


def render_sms(source: TemplateSource, facts: Facts) -> RenderedSms:
    """Return the text message that *source* makes of *facts*, in the client's language.

    Raises:
        RenderError: As for ``render_email``; or it would be sent as more than
            ``MOST_SEGMENTS``.
    """
    text = _render(Part.SMS, source.in_language_of(facts.locale).sms, facts)
    segments = segments_of(text)
    if segments.count > MOST_SEGMENTS:
        # A character outside the seven-bit alphabet more than halves what a segment holds.
        remedy = ", or leave out emoji and unusual letters" if segments.odd else ""
        raise RenderError(
            f"{Part.SMS.value}: comes out as {segments.count} segments, and {MOST_SEGMENTS} is "
            f"the most; shorten it{remedy}"
        )
    return RenderedSms(text=text)


def language_of(source: TemplateSource, facts: Facts) -> str:
    """Return the locale of the text that *source* has for the client of *facts*.

    A text of which nobody said otherwise is in the organization's own language; beside
    translations it is English.
    """
    own = source.locale or ("en" if source.translations else facts.organization.locale)
    is_own = source.in_language_of(facts.locale) is source
    return own if is_own and language(own) != language(facts.locale) else facts.locale


def speaks_of_event(source: TemplateSource) -> bool:
    """Whether *source* names something of the event, so that rendering needs to know it."""
    return any(
        field.startswith("event.")
        for each in (source, *source.translations.values())
        for part in Part
        if (text := getattr(each, part)) is not None
        for field in _fields_of(part, text)
    )


def _fields_of(part: Part, text: str) -> Iterable[str]:
    try:
        return compile_part(part, text).fields.values()
    except DefectiveTemplateError:
        # Rendering it says what is wrong.
        return ()


def _render(part: Part, source: str | None, facts: Facts) -> str:
    if source is None:
        raise RenderError(f"the template has no {part.value}; add one, or use another template")
    text = render_part(part, source, facts)
    if not text:
        raise RenderError(f"{part.value}: comes out empty; nothing would be sent")
    _refuse_braces(part, text)
    return text


def _refuse_braces(part: Part, text: str) -> None:
    if "{{" in text:
        raise RenderError(f"{part.value}: still has '{{{{' in it; take it out of the data")


def _on_page(
    content: str, subject: str, text: str, facts: Facts, locale: str, unsubscribe_url: str | None
) -> str:
    # Empty fields are false, which is all the page asks of them.
    head = Letterhead(
        **{
            field: str(value) if (value := value_of(facts, f"organization.{field}")) else None
            for field in Letterhead.model_fields
        }
    )
    html = on_page(
        content,
        subject=subject,
        text=text,
        head=head,
        locale=locale,
        unsubscribe_url=unsubscribe_url,
    )
    _refuse_braces(Part.HTML, html)
    return html


def render_part(part: Part, source: str, facts: Facts) -> str:
    """Return what *source* makes of *facts*, without spaces around it; it may be empty.

    Raises:
        RenderError: It names something unknown or empty, or comes out too long.
    """
    compiled = compile_part(part, source)
    try:
        return _run(compiled, facts)
    except Exception as error:
        # Whatever a template does wrong is the template's failure. Only our own words go
        # on: those of other errors may quote the data.
        ours = isinstance(error, RenderError)
        reason = str(error) if ours else f"does not fit together ({type(error).__name__})"
        line = _line(compiled.template, error.__traceback__)
        raise RenderError(f"{at(part, line)}: {reason}") from None


def _run(compiled: CompiledPart, facts: Facts) -> str:
    variables = {known: value_of(facts, field) for known, field in compiled.fields.items()}
    if compiled.belongs_on_page:
        brand = brand_of(facts.organization.brand_color)
        variables[BRAND_VARIABLES["brand-color"]] = brand.color
        variables[BRAND_VARIABLES["brand-text"]] = brand.text
    context = compiled.template.new_context({**variables, FORMATS: formats_for(facts)})
    pieces: list[str] = []
    length = 0
    for piece in compiled.template.root_render_func(context):
        pieces.append(piece)
        length += len(piece)
        if length > LONGEST_BODY:
            raise RenderError(f"comes out longer than {LONGEST_BODY:,} characters; shorten it")
    text = clean("".join(pieces)).strip()
    if compiled.part is Part.SMS and len(text) > LONGEST_SMS:
        raise RenderError(f"comes out longer than {LONGEST_SMS:,} characters; shorten it")
    return text


def one_line(text: str) -> str:
    """Return *text* as a subject: a line break in it would begin a header of its own."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SUBJECT else line[: LONGEST_SUBJECT - 1].rstrip() + "…"


def _line(template: Template, trace: TracebackType | None) -> int | None:
    """Return the line of the template where *trace* passed through it."""
    while trace is not None:
        if trace.tb_frame.f_globals.get("__jinja_template__") is template:
            line: int = template.get_corresponding_lineno(trace.tb_lineno)
            return line
        trace = trace.tb_next
    return None
