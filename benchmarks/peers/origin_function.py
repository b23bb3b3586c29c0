"""What stood behind the poll: take some pending rows, carry them out one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from time import monotonic
from typing import Any, Final

import aiosmtplib
import httpx2
import psycopg
from psycopg.rows import dict_row

_TAKE: Final = """
    SELECT log.id, workflow.subject, workflow.email, workflow.sms, job.title AS job_title,
           job.total::text AS total, client.name AS client_name, client.email AS client_email,
           client.phone AS client_phone
    FROM automation_execution_logs log
    JOIN automation_workflows workflow ON workflow.id = log.workflow_id
    JOIN jobs job ON job.id = log.trigger_data ->> 'job_id'
    JOIN clients client ON client.id = job.client_id
    WHERE log.status = 'pending'
    ORDER BY log.created_at
    LIMIT %s
"""
_BEGIN: Final = (
    "UPDATE automation_execution_logs SET status = 'running', started_at = now() WHERE id = %s"
)
_END: Final = (
    "UPDATE automation_execution_logs SET status = %s, error_message = %s, completed_at = now()"
    " WHERE id = %s"
)
_VARIABLES: Final = ("client_name", "job_title", "total")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often it is called, how many rows it takes, and how long it rests between two."""

    every: timedelta = timedelta(minutes=1)
    batch: int = 10
    pause: timedelta = timedelta(milliseconds=500)


ORIGINAL: Final = Pace()
"""What its papers say: ``* * * * *``, ten, 500 ms."""


@dataclass(frozen=True, slots=True)
class Poll:
    """One call: when it began, in seconds of ``time.monotonic``, how long it took, and of what."""

    began: float
    took: timedelta
    taken: int


@dataclass(frozen=True, slots=True)
class FarEnds:
    """Where it sends to: a mail server, and Twilio's API with an account."""

    smtp_host: str
    smtp_port: int
    twilio_url: str
    account_sid: str
    auth_token: str
    from_number: str


class EdgeFunction:
    """Keeps nothing between two calls, as edge functions do; lives as long as its connection."""

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], far_ends: FarEnds, pace: Pace = ORIGINAL
    ) -> None:
        """Take an autocommitting *connection*."""
        self._connection = connection
        self._far_ends = far_ends
        self._pace = pace

    async def process_pending(self) -> Poll:
        """Carry out the oldest pending rows, and return how that went."""
        began = monotonic()
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_TAKE, (self._pace.batch,))
            rows = await cursor.fetchall()
        for place, row in enumerate(rows):
            if place:
                await asyncio.sleep(self._pace.pause.total_seconds())
            await self._execute(row)
        return Poll(began, timedelta(seconds=monotonic() - began), len(rows))

    async def _execute(self, row: Mapping[str, Any]) -> None:
        await self._connection.execute(_BEGIN, (row["id"],))
        try:
            await self._send_email(row)
            await self._send_sms(row)
        except (aiosmtplib.SMTPException, httpx2.HTTPError, OSError) as error:
            await self._connection.execute(_END, ("failed", type(error).__name__, row["id"]))
        else:
            await self._connection.execute(_END, ("completed", None, row["id"]))

    async def _send_email(self, row: Mapping[str, Any]) -> None:
        message = EmailMessage()
        message["From"] = "automations@fixlify.example"
        message["To"] = row["client_email"]
        message["Subject"] = _filled(row["subject"], row)
        message.set_content(_filled(row["email"], row), subtype="html")
        await aiosmtplib.send(
            message, hostname=self._far_ends.smtp_host, port=self._far_ends.smtp_port
        )

    async def _send_sms(self, row: Mapping[str, Any]) -> None:
        far = self._far_ends
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.post(
                f"{far.twilio_url}/2010-04-01/Accounts/{far.account_sid}/Messages.json",
                auth=(far.account_sid, far.auth_token),
                data={
                    "To": row["client_phone"],
                    "From": far.from_number,
                    "Body": _filled(row["sms"], row),
                },
            )
            answer.raise_for_status()


def _filled(text: str, row: Mapping[str, Any]) -> str:
    for name in _VARIABLES:
        text = text.replace("{{" + name + "}}", row[name])
    return text
