"""The files of one Postgres cluster: its data, its password, and who says to be serving it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from devstack.privileges import Launch
from fixlify.domain.errors import DevstackError

PASSWORD_BYTES = 24
# https://www.postgresql.org/docs/18/storage-file-layout.html: lines of postmaster.pid.
PID_LINE, PORT_LINE, STATUS_LINE = 0, 3, 7


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What a server wrote into ``postmaster.pid``; it may have died since."""

    pid: int
    port: int
    ready: bool


class DatabaseCluster:
    """A data folder and the superuser's password beside it, both only ours to read."""

    def __init__(self, folder: Path, superuser: str) -> None:
        self.data = folder / "data"
        self._partial = folder / "data.partial"
        self._password_file = folder / "password"
        self._superuser = superuser

    def exists(self) -> bool:
        """Whether a complete cluster is there."""
        return self.data.exists()

    def is_in(self, folder: Path) -> bool:
        """Whether *folder* is our data, whatever it is called."""
        return folder.samefile(self.data)

    def password(self) -> str:
        """The superuser's password.

        Raises:
            DevstackError: The file is gone, and with it the way into the data.
        """
        try:
            return self._password_file.read_text()
        except FileNotFoundError as error:
            raise DevstackError(
                f"{self._password_file} is missing; restore it, or remove {self.data.parent} "
                "to start with an empty database"
            ) from error

    def begin(self, initdb: Path, launch: Launch, *, durable: bool) -> list[str]:
        """Make a new password; returns the command that makes the cluster."""
        # Under another name until it is done: a folder called data is a complete one.
        shutil.rmtree(self._partial, ignore_errors=True)
        self._write_password(launch)
        command = [
            *launch.prefix,
            str(initdb),
            f"--pgdata={self._partial}",
            f"--username={self._superuser}",
            f"--pwfile={self._password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # Sorting that is the same on every system; the rest of the locale plays no part.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        return command if durable else [*command, "--no-sync"]

    def complete(self) -> None:
        """Give the cluster its name, now that it is whole."""
        self._partial.rename(self.data)

    def postmaster(self) -> Postmaster | None:
        """What ``postmaster.pid`` says; None without one, or while it is being written."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return Postmaster(
                pid=int(lines[PID_LINE]),
                port=int(lines[PORT_LINE]),
                ready=lines[STATUS_LINE].strip() == "ready",
            )
        except (OSError, ValueError, IndexError):
            return None

    def forget_stale_postmaster(self) -> None:
        """Remove a pid file whose number belongs to a stranger by now.

        Postgres itself recovers from the file of a dead process, but refuses to start when a
        restart of the machine or container has given the number to somebody else.

        Raises:
            DevstackError: A server nobody can talk to does run on the data.
        """
        postmaster = self.postmaster()
        if postmaster is None:
            return
        if _works_in(postmaster.pid, self.data):
            raise DevstackError(
                f"Postgres process {postmaster.pid} runs on {self.data} but refuses our "
                f"password on port {postmaster.port}; stop it and try again"
            )
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _write_password(self, launch: Launch) -> None:
        self._password_file.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(self._password_file, flags, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(PASSWORD_BYTES))
        if launch.run_as:
            os.chown(self._password_file, launch.run_as.user, launch.run_as.group)


def _works_in(pid: int, data: Path) -> bool:
    """Whether *pid* is alive and a postmaster of *data*; removing its pid file would harm both."""
    try:
        # A postmaster works in its data folder.
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except OSError:
        if Path("/proc/self").exists():
            return False
    # No /proc: the command line names the folder as well.
    listing = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(data) in listing.stdout
