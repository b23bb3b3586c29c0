"""fixlify templates preview: what a message looks like, as a page and in pictures."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from cli.chromium import SCREENS, missing, take_pictures
from cli.organization import open_organization, organization_option
from cli.output import console, counted, json_option, print_json, printable
from cli.template_output import print_refused
from cli.template_sources import Found, find_templates
from fixlify.domain.errors import ConfigurationError, NotFoundError, RenderError
from fixlify.domain.events import SubjectType
from fixlify.domain.facts import Facts, Subject
from fixlify.domain.names import did_you_mean, nearest
from fixlify.domain.segments import segments_of
from fixlify.rendering import RenderedEmail, render_email, render_sms
from fixlify.rendering.languages import locale_of
from fixlify.rendering.samples import SAMPLE_LINKS, sample_facts
from fixlify.storage.facts import load_facts
from starter.company_templates import CompanyTemplate, as_written

FOLDER: Final = Path("template-previews")
_UNSUBSCRIBE: Final = "https://example.com/unsubscribe"


@dataclass(frozen=True, slots=True)
class _Preview:
    """What one template says; a part that cannot be rendered is None, and ``failures`` say why."""

    email: RenderedEmail | None
    sms: str | None
    failures: list[str]
    files: list[Path]
    hint: str | None = None


@click.command()
@click.argument("wanted", metavar="NAME|FOLDER|FILE")
@click.option("--locale", metavar="LOCALE", help="As a client reads it whose language this is.")
@click.option(
    "--subject",
    metavar="TYPE[:ID]",
    help="About a record of yours, such as job:J-2019, or an invented one; all kinds unless given.",
)
@click.option("--marketing", is_flag=True, help="With the link that marketing mail ends with.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    default=FOLDER,
    show_default=True,
    help="Where the page and the pictures go.",
)
@click.option("--shipped", is_flag=True, help="The one that is shipped; needs no database.")
@organization_option
@json_option
@click.pass_context
def preview(
    context: click.Context,
    wanted: str,
    locale: str | None,
    subject: str | None,
    marketing: bool,
    into: Path,
    shipped: bool,
    organization: str | None,
    as_json: bool,
) -> None:
    """Show what a message looks like.

    Sends nothing. Writes the email as an HTML page and, where Chromium is installed, as pictures:
    at a desk, on a phone, and on a phone in the dark. Prints its text, and the text message with
    its segments.
    """
    named = None if locale is None else locale_of(locale)
    if locale is not None and named is None:
        raise click.UsageError(f"'{locale}' is no language; write one such as en, es or es_MX")
    kind, record_id = _subject(subject)

    async def run() -> _Preview | None:
        found = await find_templates((wanted,), organization, shipped=shipped)
        if found.refused:
            print_refused(found.refused, "Nothing to show")
            return None
        template = _only(found, wanted)
        if kind is not None and record_id is not None:
            facts = await _facts_of(kind, record_id, organization, named)
        else:
            facts = _invented(kind, named or template.default_locale, found)
        shown = _rendered(template, facts, marketing=marketing)
        stem = template.name if named is None else f"{template.name}.{named}"
        return await _written(shown, into, stem)

    shown = asyncio.run(run())
    if shown is None:
        context.exit(2)
    if as_json:
        print_json(_document(shown))
    else:
        _print(shown)
    if shown.failures:
        context.exit(1)


def _subject(said: str | None) -> tuple[SubjectType | None, str | None]:
    if said is None:
        return None, None
    kind, _, record_id = said.partition(":")
    try:
        return SubjectType(kind.strip().lower()), record_id.strip() or None
    except ValueError:
        hint = did_you_mean(kind, [each.value for each in SubjectType])
        raise click.UsageError(f"--subject: '{kind}' is no kind of record; {hint}") from None


def _only(found: Found, wanted: str) -> CompanyTemplate:
    if len(found.templates) != 1:
        names = ", ".join(found.templates)
        raise NotFoundError(
            f"'{wanted}' holds {len(found.templates)} templates; give one of them: {names}",
            nearest(wanted, found.templates),
        )
    (template,) = found.templates.values()
    return template


def _invented(kind: SubjectType | None, locale: str, found: Found) -> Facts:
    if found.company is None:
        return sample_facts(kind, locale=locale)
    links = {**SAMPLE_LINKS, **found.company.links}
    organization = found.company.organization
    return sample_facts(kind, locale=locale, organization=organization, links=links)


async def _facts_of(
    kind: SubjectType, record_id: str, organization: str | None, locale: str | None
) -> Facts:
    async with open_organization(organization) as opened, opened.transaction() as connection:
        subject = Subject(opened.organization.id, kind, record_id)
        facts = (await load_facts(connection, [subject])).get(subject)
    if facts is None:
        raise NotFoundError(
            f"there is no {kind} '{record_id}'; ids are written as the tables have them"
        )
    if locale is not None and facts.client is not None:
        client = facts.client.model_copy(update={"locale": locale})
        facts = facts.model_copy(update={"client": client})
    return facts


def _rendered(template: CompanyTemplate, facts: Facts, *, marketing: bool) -> _Preview:
    source = template.source or as_written(template)
    if source is None:
        raise NotFoundError(f"'{template.name}' can no longer be read; import it anew")
    email, sms, failures = None, None, []
    if source.subject is not None or source.text is not None:
        try:
            email = render_email(source, facts, unsubscribe_url=_UNSUBSCRIBE if marketing else None)
        except RenderError as error:
            failures.append(f"email: {error}")
    if source.sms is not None:
        try:
            sms = render_sms(source, facts).text
        except RenderError as error:
            failures.append(f"text message: {error}")
    return _Preview(email, sms, failures, [])


async def _written(shown: _Preview, into: Path, stem: str) -> _Preview:
    if shown.email is None or shown.email.html is None:
        return shown
    page = into / f"{stem}.html"
    pictures = {screen: into / f"{stem}-{screen}.png" for screen in SCREENS}
    _write_page(page, shown.email.html)
    hint = missing()
    if hint is None:
        await take_pictures(shown.email.html, pictures)
    files = [page, *(pictures.values() if hint is None else ())]
    return _Preview(shown.email, shown.sms, shown.failures, files, hint)


def _write_page(page: Path, html: str) -> None:
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(html, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"'{page}' cannot be written: {error.strerror}; give another folder with --into"
        ) from error


def _document(shown: _Preview) -> dict[str, Any]:
    segments = segments_of(shown.sms) if shown.sms is not None else None
    return {
        "email": shown.email
        and {"subject": shown.email.subject, "text": shown.email.text, "html": shown.email.html},
        "sms": segments
        and {"text": shown.sms, "segments": segments.count, "encoding": segments.encoding},
        "files": [str(file) for file in shown.files],
        "pictures_need": shown.hint,
        "failures": shown.failures,
    }


def _print(shown: _Preview) -> None:
    if shown.email is not None:
        console.print(Text(printable(shown.email.subject), "bold"))
        click.echo(f"\n{printable(shown.email.text)}\n")
    if shown.sms is not None:
        segments = segments_of(shown.sms)
        said = f"Text message, {counted(segments.count, 'segment')} in {segments.encoding}"
        console.print(Text(said, "bold"))
        click.echo(f"\n{printable(shown.sms)}\n")
    for file in shown.files:
        click.echo(f"wrote {file}")
    if shown.hint is not None:
        click.secho(f"For pictures {shown.hint}.", err=True, fg="yellow")
    for failure in shown.failures:
        click.secho(printable(failure), err=True, fg="red")
