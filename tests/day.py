"""A small company's day: its engine, what is written, and what happens to messages on their way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
from temporalio.client import Client

from activities.email import EmailSender
from activities.sms import SmsSender
from benchmarks.chaos.evidence import Change, Evidence
from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.channels import Accepted
from fixlify.storage.database import Database, Role
from fixlify.storage.listen import EventSignal
from fixlify.storage.messages import ClaimedMessage, NewMessage, enter_messages
from starter.hearing import Teller
from starter.launch import Launcher
from starter.relay import Relay
from tests.engine import Engine, eventually
from tests.office import Office

LOSES_ITS_ANSWER: Final = ("+15005550023", "drop-after-data@example.com")
"""A number and an address whose provider takes what it gets, and never says so."""

REST: Final = timedelta(seconds=15)

Hook = Callable[..., Awaitable[None]]


@dataclass
class Hooks:
    """What happens to a message at a point of its way, by recipient; each happens once."""

    before_entering: dict[str, Hook] = field(default_factory=dict)
    after_entering: dict[str, Hook] = field(default_factory=dict)
    before_call: dict[str, Hook] = field(default_factory=dict)
    after_call: dict[str, Hook] = field(default_factory=dict)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put the hooks where messages pass."""

        async def entering(
            connection: Any, execution_id: UUID, messages: Sequence[NewMessage]
        ) -> Any:
            for message in messages:
                await _once(self.before_entering, message.recipient, connection, messages)
            entered = await enter_messages(connection, execution_id, messages)
            for message in messages:
                await _once(self.after_entering, message.recipient)
            return entered

        patch.setattr("activities.writing.enter_messages", entering)
        for sender in (EmailSender, SmsSender):
            patch.setattr(sender, "hand_over", self._handing_over(sender.hand_over))

    def _handing_over(self, hand_over: Callable[..., Awaitable[Accepted]]) -> Any:
        async def handing_over(sender: Any, message: ClaimedMessage) -> Accepted:
            await _once(self.before_call, message.recipient, sender, message)
            accepted = await hand_over(sender, message)
            await _once(self.after_call, message.recipient)
            return accepted

        return handing_over


async def _once(hooks: dict[str, Hook], recipient: str | None, *arguments: Any) -> None:
    if (hook := hooks.pop(recipient or "", None)) is not None:
        await hook(*arguments)


class Day:
    """The company, its engine, and everything that was written; lives as long as its test."""

    def __init__(
        self,
        office: Office,
        engine: Engine,
        client: Client,
        mail: MailCatcher,
        phone: SmsCatcher,
        hooks: Hooks,
        seed: int,
    ) -> None:
        self.office = office
        self.engine = engine
        self.client = client
        self.hooks = hooks
        self.database = Database(office.url, Role.ENGINE)
        self.mail = mail
        self.phone = phone
        self._seed = seed
        self._jobs = 0
        self._changes: list[Change] = []
        self._write_failures: list[str] = []

    async def add_job(self, **client: str) -> tuple[str, str, str]:
        """Enter a job with a client of its own; return its id, and the client's two addresses."""
        self._jobs += 1
        addresses = {
            "email": f"client-{self._jobs}@northwind.example",
            "phone": f"+1212555{self._jobs:04}",
        } | client
        job = f"J-{self._jobs}"
        await self.office.add_job(job, client_id=await self.office.add_client(**addresses))
        return job, addresses["email"], addresses["phone"]

    async def write(self, job: str, after: str) -> None:
        """Write a job's status as its company's app would, and take down what was written."""
        (row,) = await self.office.query("SELECT status FROM jobs WHERE id = %s", job)
        at = datetime.now(UTC)
        try:
            await self.office.write_status(job, after)
        except psycopg.Error as error:
            self._write_failures.append(str(error))
            return
        self._changes.append(
            Change(self.office.organization_id, job, row["status"], after, at, certain=True)
        )

    async def executions_of(self, job: str) -> list[dict[str, Any]]:
        """Return the executions about *job*, oldest first."""
        return [each for each in await self.office.executions() if each["subject_id"] == job]

    def relay(self, launcher: Any = None) -> Relay:
        """Return another relay beside the engine's, with connections of its own."""
        return Relay(
            self.database,
            launcher or Launcher(self.client, eager=True),
            EventSignal(self.office.url),
            Teller(self.client),
        )

    async def come_to_rest(self) -> bool:
        """Relay everything, and wait until nothing is under way; tell whether it came to that."""

        async def rests() -> bool:
            await self.engine.relay_everything()
            (left,) = await self.office.query(
                "SELECT (SELECT count(*) FROM automation_events WHERE processed_at IS NULL)"
                " + (SELECT count(*) FROM automation_execution_logs"
                "    WHERE status IN ('pending', 'running'))"
                # Of a run that was ended by hand, too.
                " + (SELECT count(*) FROM messages WHERE status IN ('queued', 'sending')) AS work"
            )
            return bool(left["work"] == 0)

        with suppress(AssertionError):
            return bool(await eventually(rests, REST))
        return False

    async def close(self) -> None:
        """Close the day's own connections."""
        await self.database.close()

    def evidence(self) -> Evidence:
        """Return what was done and what arrived."""
        return Evidence(
            seed=self._seed,
            url=self.office.url,
            client=self.client,
            changes=self._changes,
            faults=(),
            emails=self.mail.messages,
            texts=self.phone.messages,
            write_failures=self._write_failures,
            fates=dict.fromkeys(LOSES_ITS_ANSWER, "drops the answer"),
            at_most_once=False,
        )
