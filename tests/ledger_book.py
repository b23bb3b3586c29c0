"""The ledger of one execution, and what can be done to a message in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fixlify.domain.runs import ExecutionStatus, MessageStatus, RunOutcome, SendReceipt
from fixlify.storage.database import Database
from fixlify.storage.executions import finish_execution
from fixlify.storage.messages import ClaimedMessage, Ledger, Report, enter_messages
from tests.office import Office
from tests.runs import new_message

Act = Callable[[Ledger], Awaitable[Any]]
ACTS: dict[str, Act] = {
    "claim": lambda ledger: ledger.claim(datetime.now(UTC)),
    "accepted": lambda ledger: ledger.accepted(
        Report("twilio", MessageStatus.SENT, provider_id="SM1", segments=1)
    ),
    "released": lambda ledger: ledger.released("busy", "20429"),
    "refused": lambda ledger: ledger.refused("no such number", "21211"),
    "lost": lambda ledger: ledger.lost("the connection broke"),
}


class Book:
    """The ledger of one execution of one office."""

    def __init__(self, database: Database, office: Office, execution_id: UUID) -> None:
        self.database = database
        self.office = office
        self.execution_id = execution_id

    async def enter(self, **fields: Any) -> UUID:
        """Enter a text message to the client, or what *fields* make of it.

        Returns:
            Its id; that of an earlier one where the step has a message already.
        """
        message = new_message(self.office, self.execution_id, **fields)
        async with self.database.statement() as connection:
            entered = await enter_messages(connection, self.execution_id, [message])
        return entered[message.step_id].id

    async def act(self, message_id: UUID, act: Act, organization: UUID | None = None) -> Any:
        """Do one thing to a message, in a transaction of its own."""
        async with self.database.transaction() as connection:
            ledger = Ledger(connection, message_id, organization or self.office.organization_id)
            return await act(ledger)

    async def claim(
        self, message_id: UUID, now: datetime | None = None
    ) -> ClaimedMessage | SendReceipt:
        """Ask the gate for a message, *now* or at this moment."""
        async with self.database.transaction() as connection:
            ledger = Ledger(connection, message_id, self.office.organization_id)
            return await ledger.claim(now or datetime.now(UTC))

    async def row(self, message_id: UUID) -> dict[str, Any]:
        (row,) = await self.office.query("SELECT * FROM messages WHERE id = %s", message_id)
        return row

    async def finish(self, status: ExecutionStatus) -> None:
        async with self.database.statement() as connection:
            await finish_execution(
                connection,
                RunOutcome(
                    execution_id=self.execution_id,
                    organization_id=self.office.organization_id,
                    status=status,
                    reason="that is how it went",
                ),
            )
