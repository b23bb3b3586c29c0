"""What the books about webhooks let nobody read, and hold against nobody wrongly."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from fixlify.domain.ids import new_id
from fixlify.domain.runs import ExecutionStatus, RunOutcome
from fixlify.domain.webhooks import DeliveryStatus, WebhookDelivery
from fixlify.storage.database import Database
from fixlify.storage.executions import finish_execution
from fixlify.storage.webhook_calls import WebhookCall
from fixlify.storage.webhook_deliveries import (
    DISABLED_AFTER,
    FAILED_ATTEMPTS,
    BegunDelivery,
    DeliveryBook,
)
from fixlify.storage.webhooks import find_settings, set_failure_url, signing_secret
from tests.office import Office
from tests.runs import add_execution

URL = "https://office.example.com/failures"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def test_people_may_set_an_address_and_never_read_the_secret(
    office: Office, app_database: Database
) -> None:
    """Neither by asking for it, nor by having it handed back."""
    async with app_database.organization(office.organization_id) as connection:
        await set_failure_url(connection, office.organization_id, URL)
        assert (await find_settings(connection, office.organization_id)).failure_url == URL
    for statement in (
        "SELECT secret FROM webhook_settings",
        "UPDATE webhook_settings SET failure_url = secret",
        "UPDATE webhook_settings SET failing_since = NULL RETURNING secret",
    ):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with app_database.organization(office.organization_id) as connection:
                await connection.execute(text(statement))


async def test_two_that_need_the_first_secret_get_the_same(
    office: Office, engine_database: Database
) -> None:
    async def ask() -> str:
        async with engine_database.statement() as connection:
            secret = await signing_secret(connection, office.organization_id)
        return secret.get_secret_value()

    assert len(set(await asyncio.gather(*(ask() for _ in range(8))))) == 1


async def test_what_was_taken_is_never_called_again(
    office: Office, engine_database: Database
) -> None:
    execution_id = await add_execution(office)
    call = WebhookCall(execution_id, "tell", office.organization_id)
    async with engine_database.statement() as connection:
        assert await call.begin(connection)
        await call.not_taken(connection, "it answered 500", "books.example.com", "500")
        assert await call.begin(connection)
        await call.completed(connection, "books.example.com", "200")
        assert not await call.begin(connection)
        # A late answer to an attempt that was given up changes nothing.
        await call.failed(connection, "too late", "books.example.com", None)
    (row,) = await office.query("SELECT status, attempts, reason FROM automation_actions")
    assert row == {"status": "completed", "attempts": 2, "reason": None}


@pytest.mark.parametrize("status", list(ExecutionStatus))
async def test_only_a_failed_execution_is_told_of_and_once(
    status: ExecutionStatus, office: Office, engine_database: Database
) -> None:
    execution_id = await add_execution(office)
    async with engine_database.statement() as connection:
        await set_failure_url(connection, office.organization_id, URL)
        for _ in range(2):
            await finish_execution(
                connection,
                RunOutcome(
                    execution_id=execution_id,
                    organization_id=office.organization_id,
                    status=status,
                ),
            )
    expected = 1 if status is ExecutionStatus.FAILED else 0
    assert len(await office.query("SELECT 1 FROM webhook_deliveries")) == expected


class Failing:
    """A delivery whose receiver fails; ``try_again`` is one more attempt."""

    def __init__(self, office: Office, database: Database, delivery: WebhookDelivery) -> None:
        self.delivery = delivery
        self._office = office
        self._database = database

    async def try_again(self, now: datetime = NOW, **options: Any) -> DeliveryStatus:
        async with self._database.statement() as connection:
            book = DeliveryBook(connection, self.delivery)
            begun = await book.begin()
            assert isinstance(begun, BegunDelivery)
            options.setdefault("failure_url", begun.failure_url)
            return (await book.not_taken("it answered 500", now, **options)).status

    async def settings(self) -> dict[str, Any]:
        (row,) = await self._office.query("SELECT * FROM webhook_settings")
        return row


@pytest.fixture
async def failing(office: Office, engine_database: Database) -> Failing:
    execution_id = await add_execution(office, "failed")
    async with engine_database.statement() as connection:
        await set_failure_url(connection, office.organization_id, URL)
    delivery = WebhookDelivery(delivery_id=new_id(), organization_id=office.organization_id)
    await office.insert(
        "webhook_deliveries",
        id=delivery.delivery_id,
        organization_id=office.organization_id,
        execution_id=execution_id,
    )
    return Failing(office, engine_database, delivery)


async def test_the_first_failure_is_remembered_until_a_success(
    failing: Failing, engine_database: Database
) -> None:
    assert await failing.try_again() is DeliveryStatus.PENDING
    assert await failing.try_again(NOW + timedelta(hours=1)) is DeliveryStatus.PENDING
    assert (await failing.settings())["failing_since"] == NOW
    async with engine_database.statement() as connection:
        receipt = await DeliveryBook(connection, failing.delivery).delivered()
    assert (receipt.status, receipt.reason) == (DeliveryStatus.DELIVERED, None)
    assert (await failing.settings())["failing_since"] is None


async def test_days_of_failing_disable_but_one_mishap_after_days_does_not(
    failing: Failing,
) -> None:
    await failing.try_again()
    later = NOW + DISABLED_AFTER
    for _ in range(FAILED_ATTEMPTS - 2):
        assert await failing.try_again(later) is DeliveryStatus.PENDING
    assert (await failing.settings())["disabled_at"] is None
    assert await failing.try_again(later) is DeliveryStatus.FAILED
    standing = await failing.settings()
    assert standing["disabled_at"] == later
    assert standing["disabled_reason"] == (
        "failing since 2026-11-22 12:00 UTC, at last: it answered 500"
    )


async def test_less_than_days_of_failing_disable_nothing(failing: Failing) -> None:
    for _ in range(FAILED_ATTEMPTS + 1):
        await failing.try_again()
    just_before = NOW + DISABLED_AFTER - timedelta(seconds=1)
    assert await failing.try_again(just_before, given_up=True) is DeliveryStatus.FAILED
    assert (await failing.settings())["disabled_at"] is None


async def test_a_delivery_given_up_after_days_disables(failing: Failing) -> None:
    await failing.try_again()
    given_up = NOW + DISABLED_AFTER
    assert (
        await failing.try_again(given_up, given_up=True, failure_url=None) is DeliveryStatus.FAILED
    )
    assert (await failing.settings())["disabled_at"] == given_up


async def test_a_new_address_does_not_answer_for_the_old_one(failing: Failing) -> None:
    old = "https://old.example.com/"
    assert await failing.try_again(failure_url=old, gone=True) is DeliveryStatus.PENDING
    standing = await failing.settings()
    assert (standing["failing_since"], standing["disabled_at"]) == (None, None)
