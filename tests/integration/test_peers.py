"""What is compared with does its job: each message once, to whom it belongs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from benchmarks.lab.companies import Founder, complete
from benchmarks.lab.deliveries import Deliveries
from benchmarks.peers import driving
from benchmarks.peers.dbos_process import DbosProcess, Trigger, is_installed
from benchmarks.peers.origin_database import cron_database, has_cron, schedule
from benchmarks.peers.origin_function import ORIGINAL
from benchmarks.peers.origin_system import open_origin
from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from devstack.sms_fates import GOOD_SENDER

NEVER = replace(ORIGINAL, every=timedelta(days=1), pause=timedelta())
HASTY = replace(ORIGINAL, every=timedelta(milliseconds=50), pause=timedelta())


@pytest.fixture
async def mail() -> AsyncIterator[MailCatcher]:
    """A mailbox."""
    async with MailCatcher() as catcher:
        yield catcher


@pytest.fixture
async def phone() -> AsyncIterator[SmsCatcher]:
    """A phone."""
    async with SmsCatcher() as catcher:
        yield catcher


async def test_the_rebuilt_origin_thanks_once_for_each_completed_job(
    tmp_path: Path, mail: MailCatcher, phone: SmsCatcher
) -> None:
    """It fills in the client's name, and takes ten rows a poll and no more."""
    deliveries = Deliveries(mail, phone)
    async with open_origin(tmp_path / "origin", mail, phone, 12, NEVER) as origin:
        for job in origin.jobs:
            await origin.write(job)
            # Completed twice is completed once.
            await origin.write(job)
        taken = [(await origin.function.process_pending()).taken for _ in range(3)]

        assert taken == [10, 2, 0]
        assert all(deliveries.both(job) for job in origin.jobs)
    assert deliveries.duplicates() == {}
    assert "Thank you, Maya Okafor " in phone.messages[0].body


@pytest.mark.skipif(not has_cron(), reason="pg_cron is not installed")
async def test_pg_cron_takes_the_origins_schedule(tmp_path: Path) -> None:
    """Its cluster starts, and keeps the job that its papers ask for."""
    async with (
        cron_database(tmp_path / "cron") as url,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
    ):
        assert await schedule(connection, "process-pending-automations", "SELECT 1")
        cursor = await connection.execute("SELECT jobname, schedule, active FROM cron.job")
        assert await cursor.fetchall() == [("process-pending-automations", "* * * * *", True)]


@pytest.mark.skipif(not is_installed(), reason="DBOS is not installed")
@pytest.mark.parametrize("trigger", ["outbox", "direct"])
async def test_the_app_with_dbos_thanks_once(
    trigger: Trigger, tmp_path: Path, database_url: str, mail: MailCatcher, phone: SmsCatcher
) -> None:
    """However its workflow is started, and with the texts that ours sends."""
    deliveries = Deliveries(mail, phone)
    settings = {
        "FIXLIFY_DATABASE_URL": database_url,
        "DBOS_SYSTEM_DATABASE_URL": f"{database_url}_dbos",
        "TEMPORAL_ADDRESS": "127.0.0.1:9",
        "FIXLIFY_SMTP_URL": mail.url,
        "TWILIO_ACCOUNT_SID": phone.account_sid,
        "TWILIO_AUTH_TOKEN": phone.auth_token,
        "TWILIO_FROM_NUMBER": GOOD_SENDER,
        "TWILIO_BASE_URL": phone.base_url,
    }
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        company = await Founder(connection, database_url).found(2)
        if trigger == "direct":
            await connection.execute("ALTER TABLE jobs DISABLE TRIGGER USER")
        async with DbosProcess(trigger, settings, tmp_path / "dbos.log") as app:
            for job in company.jobs:
                if trigger == "direct":
                    await app.complete(job)
                else:
                    await complete(connection, job)
            for job in company.jobs:
                await deliveries.wait_for_both(job)
        assert deliveries.duplicates() == {}
        assert (deliveries.emails, deliveries.texts) == (2, 2)
        assert "Thank you, Maya!" in phone.messages[0].body
        await connection.execute(
            f"DROP DATABASE {database_url.rpartition('/')[2]}_dbos WITH (FORCE)".encode()
        )


async def test_no_more_jobs_are_under_way_than_asked_for(
    mail: MailCatcher, phone: SmsCatcher, tmp_path: Path
) -> None:
    """A system that is slow is given the next job only when it is done with another."""
    deliveries = Deliveries(mail, phone)
    under_way: list[int] = []
    async with open_origin(tmp_path / "origin", mail, phone, 8, HASTY) as origin:

        async def write(job: object) -> float:
            under_way.append(len(under_way) - min(deliveries.emails, deliveries.texts))
            return await origin.write(origin.jobs[len(under_way) - 1])

        drained = await driving.drain(write, origin.jobs, deliveries, 3)

    assert drained.runs == 8
    assert drained.per_second > 0
    assert max(under_way) == 2
