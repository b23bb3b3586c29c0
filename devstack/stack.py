"""Start everything the engine needs under one folder, and tell other processes where it is."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from devstack.locks import FileLock
from devstack.mail import MailCatcher
from devstack.ports import LOOPBACK, choose_port
from devstack.postgres import DATABASE, EmbeddedPostgres
from devstack.process import LOOK_AGAIN
from devstack.running import LOCK_FILE, STACK_FILE
from devstack.server import EmbeddedServer, make_folder
from devstack.sms import SmsCatcher
from devstack.sms_fates import GOOD_SENDER
from devstack.temporal_server import NAMESPACE, EmbeddedTemporal
from fixlify.domain.errors import DevstackError

# Somebody who only looks whether the lock is taken holds it for a moment.
LOCK_PATIENCE = timedelta(milliseconds=250)
SETTINGS = (
    "FIXLIFY_DATABASE_URL",
    "TEMPORAL_ADDRESS",
    "TEMPORAL_NAMESPACE",
    "FIXLIFY_SMTP_URL",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_FROM_NUMBER",
    "TWILIO_MESSAGING_SERVICE_SID",
    "TWILIO_BASE_URL",
    "FIXLIFY_PUBLIC_URL",
    "FIXLIFY_LINK_SECRET",
)
LINK_KEY_FILE = "links.key"


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports somebody insists on; None takes last time's, the usual one, or any free one."""

    postgres: int | None = None
    temporal: int | None = None
    ui: int | None = None
    mail: int | None = None
    sms: int | None = None
    api: int | None = None


USUAL_PORTS = Ports(postgres=5433, temporal=7233, ui=8233, mail=1025, sms=8234, api=8080)


class DevStack:
    """Postgres, Temporal, a mailbox and a phone; lives from ``start`` to ``stop``.

    Whatever *environment* already names is used and not started: FIXLIFY_DATABASE_URL,
    TEMPORAL_ADDRESS, FIXLIFY_SMTP_URL, TWILIO_ACCOUNT_SID. One process runs the stack of one
    *home*; while it does, ``home/stack.json`` (0600) says where everything is.
    """

    def __init__(
        self,
        home: Path,
        *,
        ports: Ports | None = None,
        usual_ports: Ports = USUAL_PORTS,
        ui: bool = True,
        durable: bool = True,
        api: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the stack; nothing runs yet.

        Args:
            home: made when it is not there; all data is below it.
            ports: the ones that must be taken, or the start fails.
            usual_ports: the ones to take where they are free; ``Ports()`` takes any.
            ui: False leaves Temporal's Web UI out.
            durable: False trades the database's safety at a power failure for speed.
            api: whether the caller serves the HTTP API on ``api_port``. The phone then calls
                it back, and links lead there; FIXLIFY_HTTP_PORT is the port to take if free.
            environment: the settings that are there already; none is read from elsewhere.
        """
        self.home = home.absolute()
        self._given = dict(environment or {})
        self._lock = FileLock(self.home / LOCK_FILE)
        fixed = ports or Ports()
        self._has_api = api
        self._api_ports = fixed.api, self._given.get("FIXLIFY_HTTP_PORT"), usual_ports.api
        self._api_port: int | None = None

        self.postgres: EmbeddedPostgres | None = None
        if not self._given.get("FIXLIFY_DATABASE_URL"):
            self.postgres = EmbeddedPostgres(
                self.home / "postgres",
                fixed.postgres,
                preferred_port=usual_ports.postgres,
                durable=durable,
            )
        self.temporal: EmbeddedTemporal | None = None
        if not self._given.get("TEMPORAL_ADDRESS"):
            self.temporal = EmbeddedTemporal(
                self.home / "temporal",
                fixed.temporal,
                fixed.ui,
                ui,
                namespace=self._namespace,
                preferred_port=usual_ports.temporal,
                preferred_ui_port=usual_ports.ui,
            )
        self.mail: MailCatcher | None = None
        if not self._given.get("FIXLIFY_SMTP_URL"):
            self.mail = MailCatcher(
                fixed.mail or 0, self.home / "mail", preferred_port=usual_ports.mail
            )
        self.sms: SmsCatcher | None = None
        if not self._given.get("TWILIO_ACCOUNT_SID"):
            self.sms = SmsCatcher(
                fixed.sms or 0, folder=self.home / "sms", preferred_port=usual_ports.sms
            )

    @property
    def ui_url(self) -> str | None:
        """Where a browser finds Temporal's Web UI; None where we do not run it."""
        return self.temporal.ui_url if self.temporal else None

    @property
    def api_port(self) -> int:
        """Where the caller is to serve the HTTP API; known once the stack is started.

        Raises:
            DevstackError: The stack has none, or is not started.
        """
        if self._api_port is None:
            raise DevstackError("this stack has no port for the HTTP API; start it with one")
        return self._api_port

    def environment(self) -> dict[str, str]:
        """The settings other processes need, by variable; those that were given, unchanged."""
        settings = {name: self._given[name] for name in SETTINGS if self._given.get(name)}
        settings["TEMPORAL_NAMESPACE"] = self._namespace
        if self.postgres:
            settings["FIXLIFY_DATABASE_URL"] = self.postgres.dsn(DATABASE)
        if self.temporal:
            settings["TEMPORAL_ADDRESS"] = self.temporal.address
        if self.mail:
            settings["FIXLIFY_SMTP_URL"] = self.mail.url
        if self.sms:
            settings["TWILIO_ACCOUNT_SID"] = self.sms.account_sid
            settings["TWILIO_AUTH_TOKEN"] = self.sms.auth_token
            settings["TWILIO_FROM_NUMBER"] = GOOD_SENDER
            settings["TWILIO_BASE_URL"] = self.sms.base_url
            settings.pop("TWILIO_MESSAGING_SERVICE_SID", None)
        if self._api_port is not None:
            settings.setdefault("FIXLIFY_LINK_SECRET", self._link_secret())
            # The real Twilio refuses messages that are to be reported to this machine.
            if self.sms:
                settings.setdefault("FIXLIFY_PUBLIC_URL", f"http://{LOOPBACK}:{self._api_port}")
        return settings

    async def start(self) -> None:
        """Start everything at once; returns when all of it answers.

        Raises:
            DevstackError: A part did not start, or another process runs this stack; whatever
                did start is stopped again.
        """
        make_folder(self.home)
        await self._take_lock()
        try:
            await _at_once(part.start() for part in self._parts())
            if self._has_api:
                self._api_port = self._choose_api_port()
            self._announce()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop what we started and wait until it is gone; a second call does nothing."""
        if not self._lock.held:
            return
        (self.home / STACK_FILE).unlink(missing_ok=True)
        try:
            stops = [part.stop() for part in self._parts()]
            ends = await asyncio.gather(*stops, return_exceptions=True)
        finally:
            self._lock.release()
        for error in ends:
            if error is not None:
                raise error

    async def wait(self) -> None:
        """Wait until one of our servers ends although nobody stopped it.

        Raises:
            DevstackError: Always, in the end; it names the server and its log.
        """
        servers = (self.postgres, self.temporal)
        ours = [server for server in servers if server is not None and not server.adopted]
        if not ours:
            await asyncio.Event().wait()
        await _at_once(_unexpected_end(server) for server in ours)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def _namespace(self) -> str:
        return self._given.get("TEMPORAL_NAMESPACE") or NAMESPACE

    def _parts(self) -> list[EmbeddedServer | MailCatcher | SmsCatcher]:
        parts = (self.postgres, self.temporal, self.mail, self.sms)
        return [part for part in parts if part is not None]

    async def _take_lock(self) -> None:
        deadline = monotonic() + LOCK_PATIENCE.total_seconds()
        while not self._lock.try_acquire(str(os.getpid())):
            if monotonic() > deadline:
                raise DevstackError(
                    f"process {self._lock.note()} runs the stack in {self.home} already; use "
                    "it, stop it, or choose another folder"
                )
            await asyncio.sleep(LOOK_AGAIN.total_seconds())

    def _choose_api_port(self) -> int:
        fixed, wanted, usual = self._api_ports
        asked = int(wanted) if wanted and wanted.isdecimal() else None
        return choose_port("the HTTP API", fixed, asked, usual)

    def _link_secret(self) -> str:
        """The key of this stack's links, the same from run to run: they stay good."""
        file = self.home / LINK_KEY_FILE
        if not file.exists():
            self._keep(file, secrets.token_urlsafe(32))
        return file.read_text()

    def _announce(self) -> None:
        stack = {**self.environment(), "ui_url": self.ui_url, "pid": os.getpid()}
        self._keep(self.home / STACK_FILE, json.dumps(stack, indent=2))

    def _keep(self, file: Path, text: str) -> None:
        """Write a file that only its owner reads."""
        # Written beside and moved: whoever reads finds all of it or nothing.
        draft = self.home / f"{file.name}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(draft, flags, 0o600), "w") as written:
            written.write(text)
        draft.replace(file)


async def _unexpected_end(server: EmbeddedServer) -> None:
    code = await server.wait()
    raise DevstackError(
        f"{server.name} ended by itself with exit code {code}; look into {server.log}"
    )


async def _at_once(acts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of *acts* together; the first error ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for act in acts:
                group.create_task(act)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
