"""Everything there is to break: servers, providers, the engine's processes, and the way between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from temporalio.client import Client

from benchmarks.chaos.companies import Companies, found_companies
from benchmarks.chaos.deployment import Releases, make_releases
from benchmarks.chaos.keeping import Kept
from benchmarks.chaos.plan import API, POSTGRES, RELAY, TEMPORAL, WORKERS
from benchmarks.chaos.programs import KeptProgram, environment_without_settings, fixlify_command
from benchmarks.chaos.providers import MAIL_QUESTION, PHONE_QUESTION, Providers
from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.servers import KeptServer
from devstack.mail import MailCatcher
from devstack.ports import LOOPBACK, any_free_port
from devstack.postgres import DATABASE, EmbeddedPostgres
from devstack.sms import SmsCatcher
from devstack.sms_fates import GOOD_SENDER
from devstack.temporal_server import NAMESPACE, EmbeddedTemporal
from fixlify import temporal
from fixlify.storage.migrations import migrate

# The engine's own default, two minutes, is longer than a run may take to drain.
SMS_CERTAIN_AFTER: Final = timedelta(seconds=45)
_LOOK_AGAIN: Final = timedelta(milliseconds=250)
_CONNECT_TIMEOUT: Final = 5
# What waits for the end of the quiet hours is where it belongs; everything else has to end.
_LEFT_TO_DO: Final = """
    SELECT (SELECT count(*) FROM automation_events WHERE processed_at IS NULL),
           (SELECT count(*) FROM automation_signals WHERE delivered_at IS NULL),
           (SELECT count(*) FROM automation_execution_logs e
            WHERE e.status IN ('pending', 'running', 'waiting')
              AND NOT (e.organization_id = %(quiet)s
                       AND EXISTS (SELECT FROM messages m
                                   WHERE m.execution_id = e.id AND m.status = 'held')
                       AND NOT EXISTS (SELECT FROM messages m WHERE m.execution_id = e.id
                                       AND m.status IN ('queued', 'sending'))))
"""


@dataclass(frozen=True, slots=True)
class Left:
    """What is not done: events not relayed, signals not delivered, executions still open."""

    events: int
    signals: int
    executions: int

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return bool(self.events or self.signals or self.executions)


@dataclass(frozen=True, slots=True)
class World:
    """A stack in which everything the engine needs is behind a proxy, and is kept running.

    ``parts`` are kept by name: both servers, the relay, the API, two workers. ``proxies`` stand
    before the two servers. Whoever is not the engine goes past them. ``opened_at`` is of
    ``time.monotonic``.
    """

    home: Path
    parts: Mapping[str, Kept]
    proxies: Mapping[str, Proxy]
    providers: Providers
    releases: Releases
    companies: Companies
    opened_at: float
    _postgres: EmbeddedPostgres
    _temporal: EmbeddedTemporal
    _settings: Mapping[str, str]

    @property
    def url(self) -> str:
        """The database as its owner, wherever it listens now."""
        return self._postgres.dsn(DATABASE)

    async def connect(self) -> psycopg.AsyncConnection[Any]:
        """Return a connection of the database's owner that commits each statement."""
        return await psycopg.AsyncConnection.connect(
            self.url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT
        )

    async def temporal_client(self) -> Client:
        """Return a client of Temporal, wherever it listens now."""
        return await temporal.connect(self._temporal.address, NAMESPACE)

    async def command(self, *arguments: str) -> bool:
        """Run ``fixlify …`` as a person would; returns whether it did what was asked."""
        process = await asyncio.create_subprocess_exec(
            *fixlify_command(*arguments),
            cwd=self.releases.first,
            env={**environment_without_settings(), **self._settings, **self._addresses()},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            return await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()

    async def wait_until_up(self) -> None:
        """Wait until every part answers."""
        for part in self.parts.values():
            await part.wait_until_up()

    async def drain(self, patience: timedelta) -> Left:
        """Wait until nothing is left to do; return what is, once nothing moved for *patience*.

        A slow machine takes longer than a quick one; neither stands still.
        """
        quiet = {"quiet": self.companies.quiet.organization_id}
        before, moved_at = None, monotonic()
        async with await self.connect() as connection:
            while True:
                cursor = await connection.execute(_LEFT_TO_DO.encode(), quiet)
                row = await cursor.fetchone()
                assert row is not None, "counting gives a row"  # noqa: S101
                left = Left(events=row[0], signals=row[1], executions=row[2])
                if left != before:
                    before, moved_at = left, monotonic()
                if not left or monotonic() > moved_at + patience.total_seconds():
                    return left
                await asyncio.sleep(_LOOK_AGAIN.total_seconds())

    def _addresses(self) -> dict[str, str]:
        return {"FIXLIFY_DATABASE_URL": self.url, "TEMPORAL_ADDRESS": self._temporal.address}


@asynccontextmanager
async def open_world(home: Path) -> AsyncIterator[World]:
    """Start everything below *home*, with companies in it; end all of it with the block."""
    async with AsyncExitStack() as stack:
        mail = await stack.enter_async_context(MailCatcher())
        phone = await stack.enter_async_context(SmsCatcher())
        postgres = EmbeddedPostgres(home / "postgres")
        server = EmbeddedTemporal(home / "temporal", ui=False)
        parts: dict[str, Kept] = {
            POSTGRES: KeptServer(POSTGRES, postgres),
            TEMPORAL: KeptServer(TEMPORAL, server),
        }
        for part in parts.values():
            stack.push_async_callback(part.stop)
        await asyncio.gather(*(part.start() for part in parts.values()))
        releases = await asyncio.to_thread(make_releases, home / "releases")
        await asyncio.to_thread(migrate, postgres.dsn(DATABASE))
        async with await psycopg.AsyncConnection.connect(
            postgres.dsn(DATABASE), autocommit=True
        ) as connection:
            companies = await found_companies(connection, postgres.dsn(DATABASE))

        proxies = {
            POSTGRES: Proxy(lambda: postgres.port),
            TEMPORAL: Proxy(lambda: int(server.address.rpartition(":")[2])),
        }
        mail_proxy = Proxy(lambda: mail.port, question=MAIL_QUESTION)
        phone_proxy = Proxy(lambda: phone.port, question=PHONE_QUESTION)
        for proxy in (*proxies.values(), mail_proxy, phone_proxy):
            await stack.enter_async_context(proxy)
        api_port = any_free_port()
        settings = {
            "FIXLIFY_DATABASE_URL": _through(proxies[POSTGRES], postgres.dsn(DATABASE)),
            "TEMPORAL_ADDRESS": f"{LOOPBACK}:{proxies[TEMPORAL].port}",
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "FIXLIFY_SMTP_URL": f"smtp://{LOOPBACK}:{mail_proxy.port}",
            "FIXLIFY_MAIL_FROM": "automations@fixlify.example",
            "FIXLIFY_SMS_CERTAIN_AFTER": str(int(SMS_CERTAIN_AFTER.total_seconds())),
            "TWILIO_ACCOUNT_SID": phone.account_sid,
            "TWILIO_AUTH_TOKEN": phone.auth_token,
            "TWILIO_FROM_NUMBER": GOOD_SENDER,
            "TWILIO_BASE_URL": f"http://{LOOPBACK}:{phone_proxy.port}",
            "FIXLIFY_PUBLIC_URL": f"http://{LOOPBACK}:{api_port}",
            "FIXLIFY_HTTP_PORT": str(api_port),
            "FIXLIFY_API_RATE": "600/second",
        }

        def program(name: str, *arguments: str, says: str) -> KeptProgram:
            return KeptProgram(
                name,
                *arguments,
                release=releases.first,
                folder=home / "programs",
                settings=settings,
                says=says,
            )

        programs = (
            program(WORKERS[0], "worker", says="The worker is running."),
            program(WORKERS[1], "worker", "--no-relay", says="The worker is running."),
            program(RELAY, "starter", says="The relay is running."),
            program(API, "starter", "--no-relay", "--http", says="The HTTP API is running."),
        )
        for part in programs:
            stack.push_async_callback(part.stop)
            parts[part.name] = part
        await asyncio.gather(*(part.start() for part in programs))
        providers = Providers(
            mail, phone, mail_proxy, phone_proxy, public_url=settings["FIXLIFY_PUBLIC_URL"]
        )
        yield World(
            home=home,
            parts=MappingProxyType(parts),
            proxies=MappingProxyType(proxies),
            providers=providers,
            releases=releases,
            companies=companies,
            opened_at=monotonic(),
            _postgres=postgres,
            _temporal=server,
            _settings=settings,
        )


def _through(proxy: Proxy, url: str) -> str:
    """Return *url* by way of *proxy*."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{proxy.port}").geturl()
