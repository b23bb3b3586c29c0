"""fixlify organization: how a company looks to its clients, and where its messages lead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import click

from cli.main import USAGE
from cli.organization import open_organization, organization_option
from cli.output import json_option, print_json, printable
from fixlify.channels.addresses import phone_number
from fixlify.domain.company import address_problem, color_problem, link_problems, logo_problem
from fixlify.domain.errors import DefinitionError, Problem, RecipientError
from fixlify.domain.facts import Links
from fixlify.storage.organizations import Appearance, change_appearance, load_appearance

_PLAIN: Final = {
    "address": ("address", address_problem),
    "logo": ("logo_url", logo_problem),
    "color": ("brand_color", color_problem),
}


@click.group()
def organization() -> None:
    """Say how your company looks, and where its messages lead."""


@organization.command()
@organization_option
@json_option
def show(organization: str | None, as_json: bool) -> None:
    """Print how your company looks, and its links."""

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await load_appearance(connection, opened.organization.id)
        if as_json:
            print_json(_document(found))
        else:
            _print(found)

    asyncio.run(run())


@organization.command(name="set")
@click.option(
    "--link",
    "links",
    metavar="NAME=URL",
    multiple=True,
    help="Where a link leads, such as payment=https://pay.example/{invoice.number}.",
)
@click.option("--logo", metavar="URL", help="The address of a picture, beginning with https://.")
@click.option("--color", metavar="#RRGGBB", help="The colour of its mail.")
@click.option("--address", metavar="TEXT", help="Where it is, in one line.")
@click.option("--sms-number", metavar="NUMBER", help="Where texts from its clients come in.")
@organization_option
@json_option
@click.pass_context
def set_(
    context: click.Context,
    links: tuple[str, ...],
    logo: str | None,
    color: str | None,
    address: str | None,
    sms_number: str | None,
    organization: str | None,
    as_json: bool,
) -> None:
    """Set how your company looks, and its links.

    What is not named stays as it is. Nothing after NAME=, or an empty text, takes something
    away. It counts from the next message that is written.
    """
    said = {"address": address, "logo": logo, "color": color}
    if not links and sms_number is None and all(value is None for value in said.values()):
        raise click.UsageError("say what to set: --link, --logo, --color, --address, --sms-number")
    given = dict(_named(link) for link in links)
    problems = list(_problems(said, given))
    if problems:
        click.echo(printable(str(DefinitionError("organization set", problems))), err=True)
        context.exit(USAGE)
    changes: dict[str, Any] = {
        column: value.strip() or None
        for option, (column, _) in _PLAIN.items()
        if (value := said[option]) is not None
    }

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            before = await load_appearance(connection, opened.organization.id)
            if sms_number is not None:
                changes["sms_number"] = _number(sms_number, before)
            if given:
                merged = {**before.links, **given}
                changes["links"] = {name: url for name, url in merged.items() if url}
            await change_appearance(connection, opened.organization.id, changes)
            after = await load_appearance(connection, opened.organization.id)
        if as_json:
            print_json(_document(after))
        else:
            _print(after)

    asyncio.run(run())


def _named(link: str) -> tuple[str, str]:
    name, equals, url = link.partition("=")
    if not equals:
        raise click.UsageError(f"--link: '{link}' is not NAME=URL, as in review=https://…")
    return name.strip().lower(), url.strip()


def _problems(said: dict[str, str | None], links: dict[str, str]) -> Iterator[Problem]:
    for option, (_, judge) in _PLAIN.items():
        value = (said[option] or "").strip()
        if value and (problem := judge(value)):
            yield Problem(f"--{option}", problem)
    for name, url in links.items():
        # Also a link that is taken away must be one.
        judged = {name: url} if url or name not in Links.model_fields else {}
        for each in link_problems(judged):
            yield Problem(f"--link {each.path}", each.message)


def _number(written: str, company: Appearance) -> str | None:
    if not written.strip():
        return None
    region = company.organization.locale.replace("-", "_").rpartition("_")[2]
    try:
        return phone_number(written, region)
    except RecipientError:
        message = "is no phone number; write it with its country, as in +13125550100"
        raise DefinitionError("organization set", [Problem("--sms-number", message)]) from None


def _document(found: Appearance) -> dict[str, Any]:
    company = found.organization
    return {
        "id": company.id,
        "name": company.name,
        "email": company.email,
        "phone": company.phone,
        "website": company.website,
        "locale": company.locale,
        "time_zone": company.time_zone,
        "currency": company.currency,
        "address": company.address,
        "logo": company.logo_url,
        "color": company.brand_color,
        "sms_number": found.sms_number,
        "links": {name: found.links.get(name) for name in Links.model_fields},
    }


def _print(found: Appearance) -> None:
    document = _document(found)
    links = document.pop("links")
    for name, value in document.items():
        click.echo(f"{name.replace('_', ' '):<16}{printable(str(value or '-'))}")
    for name, value in links.items():
        click.echo(f"{'link ' + name:<16}{printable(value or '-')}")
