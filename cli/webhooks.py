"""fixlify webhooks: where failed runs are told, and what every webhook is signed with."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.text import Text

from cli.listing import Column, Line, print_listing
from cli.organization import open_organization, organization_option
from cli.output import console, errors, json_option, local, print_json, printable
from cli.scope import open_scope
from fixlify.channels.webhooks import OutgoingWebhook, WebhookChannel
from fixlify.domain.errors import ConfigurationError, WebhookAddressError
from fixlify.domain.ids import new_id
from fixlify.domain.webhooks import WebhookKind, delivery_webhook_id, parse_target, payload
from fixlify.storage.webhook_deliveries import ListedDelivery, list_deliveries
from fixlify.storage.webhooks import (
    WebhookSettings,
    clear_failure_url,
    enable_failure_url,
    find_settings,
    rotate_secret,
    set_failure_url,
    signing_secret,
)

_NO_URL: Final = (
    "no address is set; `fixlify webhooks set-failure-url URL` names where failed runs are told"
)
_COLUMNS: Final = (
    Column("CREATED"),
    Column("STATUS"),
    Column("ATTEMPTS", right=True),
    Column("AUTOMATION", shrinks=True),
    Column("EXECUTION"),
)


@click.group()
def webhooks() -> None:
    """Say where failed runs are told, and see whether they were; show the signing secret."""


@webhooks.command()
@organization_option
@json_option
def show(organization: str | None, as_json: bool) -> None:
    """Show where failed runs are told, and if that works."""

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await find_settings(connection, opened.organization.id)
        _show(found, as_json)

    asyncio.run(run())


@webhooks.command(name="set-failure-url")
@click.argument("url")
@organization_option
@json_option
def set_url(url: str, organization: str | None, as_json: bool) -> None:
    """Tell of failed runs at URL from now on.

    Also enables it again where it was disabled.
    """
    try:
        parse_target(url)
    except WebhookAddressError as error:
        raise click.BadParameter(str(error), param_hint="URL") from error

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            await set_failure_url(connection, opened.organization.id, url)
            found = await find_settings(connection, opened.organization.id)
        _show(found, as_json)
        if not as_json:
            errors.print("`fixlify webhooks test` tries it.")

    asyncio.run(run())


@webhooks.command(name="clear-failure-url")
@organization_option
@json_option
def clear_url(organization: str | None, as_json: bool) -> None:
    """Tell nobody of failed runs any more.

    What was not told yet is cancelled.
    """

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            await clear_failure_url(connection, opened.organization.id)
            found = await find_settings(connection, opened.organization.id)
        _show(found, as_json)

    asyncio.run(run())


@webhooks.command()
@organization_option
@json_option
def enable(organization: str | None, as_json: bool) -> None:
    """Tell of failed runs again.

    For an address that failed for so long that it was disabled. What failed meanwhile is not
    told any more.
    """

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            if (await find_settings(connection, opened.organization.id)).failure_url is None:
                raise ConfigurationError(_NO_URL)
            await enable_failure_url(connection, opened.organization.id)
            found = await find_settings(connection, opened.organization.id)
        _show(found, as_json)

    asyncio.run(run())


@webhooks.command()
@click.option("--rotate", is_flag=True, help="Make a new one; the old one counts no more.")
@organization_option
@json_option
def secret(rotate: bool, organization: str | None, as_json: bool) -> None:
    """Print the secret that webhooks are signed with.

    Whoever has it can sign in your name; give it to the receivers and to nobody else.
    """

    async def run() -> None:
        async with open_scope(organization, False) as scope, scope.engine.statement() as connection:
            assert scope.organization_id is not None, "an organization was chosen"  # noqa: S101
            of = rotate_secret if rotate else signing_secret
            text = (await of(connection, scope.organization_id)).get_secret_value()
        if as_json:
            print_json({"secret": text, "rotated": rotate})
            return
        # Alone on standard output, for a pipe into wherever it is kept.
        console.print(text, soft_wrap=True)

    asyncio.run(run())


@webhooks.command()
@organization_option
@json_option
def test(organization: str | None, as_json: bool) -> None:
    """Post a signed test webhook to the address.

    Once, from this computer, of type `webhook.test`. Also where it is disabled, to see
    whether it works again; `enable` follows.
    """

    async def run() -> None:
        async with open_scope(organization, False) as scope, scope.engine.statement() as connection:
            assert scope.organization_id is not None, "an organization was chosen"  # noqa: S101
            found = await find_settings(connection, scope.organization_id)
            if found.failure_url is None:
                raise ConfigurationError(_NO_URL)
            outgoing = OutgoingWebhook(
                url=found.failure_url,
                webhook_id=delivery_webhook_id(new_id()),
                payload=payload(
                    WebhookKind.TEST,
                    datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                    {"organization_id": str(scope.organization_id)},
                ),
                secret=await signing_secret(connection, scope.organization_id),
            )
            stand_in = scope.settings.webhook_stand_in
        channel = WebhookChannel(stand_in=stand_in)
        try:
            # What it raises is a sentence with the host and the reason.
            accepted = await channel.post(outgoing)
        finally:
            await channel.aclose()
        if as_json:
            print_json(
                {
                    "host": accepted.provider,
                    "code": accepted.detail,
                    "webhook_id": outgoing.webhook_id,
                }
            )
            return
        console.print(Text(f"{accepted.provider} answered {accepted.detail}: it works."))
        if found.disabled_at is not None:
            console.print("It is still disabled; `fixlify webhooks enable` ends that.")

    asyncio.run(run())


@webhooks.command()
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many, the newest first.",
)
@organization_option
@json_option
def deliveries(limit: int, organization: str | None, as_json: bool) -> None:
    """List which failed runs were told.

    And which were not, and why.
    """

    async def run() -> None:
        async with open_organization(organization) as opened, opened.transaction() as connection:
            found = await list_deliveries(connection, opened.organization.id, limit)
        if as_json:
            print_json([_delivery(each) for each in found])
        elif found:
            print_listing(console, _COLUMNS, [_line(each) for each in found])
        else:
            console.print("No failed run was to be told yet; `fixlify webhooks show` says where.")

    asyncio.run(run())


def _show(found: WebhookSettings, as_json: bool) -> None:
    if as_json:
        print_json(_settings(found))
    elif found.failure_url is None:
        console.print(f"Failed runs are told to nobody: {_NO_URL}.", soft_wrap=True)
    else:
        console.print(
            Text(f"Failed runs are told to {printable(found.failure_url)}"), soft_wrap=True
        )
        if found.disabled_at is not None:
            told = f"Disabled since {local(found.disabled_at)}: {found.disabled_reason}"
            console.print(Text(printable(told), style="red"), soft_wrap=True)
            console.print("`fixlify webhooks test` tries it, `enable` makes it count again.")
        elif found.failing_since is not None:
            told = f"It fails since {local(found.failing_since)}; it is tried again for hours."
            console.print(Text(told, style="yellow"))


def _line(each: ListedDelivery) -> Line:
    return Line(
        (
            local(each.created_at),
            each.status.value,
            str(each.attempts),
            each.automation,
            str(each.execution_id),
        ),
        each.reason,
    )


def _settings(found: WebhookSettings) -> dict[str, Any]:
    return {
        "failure_url": found.failure_url,
        "failing_since": found.failing_since,
        "disabled_at": found.disabled_at,
        "disabled_reason": found.disabled_reason,
    }


def _delivery(each: ListedDelivery) -> dict[str, Any]:
    return {
        "id": each.id,
        "execution_id": each.execution_id,
        "automation": each.automation,
        "status": each.status.value,
        "attempts": each.attempts,
        "reason": each.reason,
        "created_at": each.created_at,
        "finished_at": each.finished_at,
    }
