"""Find a way to run a program that refuses to run as root, which Postgres does."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devstack.process import Identity
from fixlify.domain.errors import DevstackError

# Whom to be when we may not be root, the most fitting first.
UNPRIVILEGED = ("postgres", "nobody", "daemon")
PROBE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a program: words before its command, and the user to become, if any."""

    prefix: tuple[str, ...] = ()
    run_as: Identity | None = None


def launch_for(program: Path, folder: Path) -> Launch:
    """The first way to run *program* on *folder* without being root.

    As a normal user, plainly. As root, in a user namespace where we look like a normal user
    and still own our files; where the system forbids those, as an unprivileged user, who
    becomes the owner of *folder*.

    Raises:
        DevstackError: None of them works here.
    """
    if os.geteuid() != 0 and _has_a_name(os.geteuid()):
        return Launch()
    for launch in _other_ways():
        if _works(launch, program, folder):
            return launch
    raise DevstackError(
        f"Postgres does not run as root, and here it runs neither in a user namespace nor as "
        f"{' or '.join(UNPRIVILEGED)} on {folder}: start this as a normal user, or set "
        "FIXLIFY_DATABASE_URL to a database of your own"
    )


def _other_ways() -> Iterator[Launch]:
    known = known_people()
    if unshare := shutil.which("unshare"):
        for person in known[:1]:
            # initdb looks the user up by number, so the number must have a name here.
            user, group = f"--map-user={person.pw_uid}", f"--map-group={person.pw_gid}"
            yield Launch(prefix=(unshare, "--user", user, group, "--"))
    if os.geteuid() == 0:
        for person in known:
            yield Launch(run_as=Identity(person.pw_uid, person.pw_gid))


def known_people() -> list[pwd.struct_passwd]:
    """Those of our unprivileged users who exist on this system."""
    people = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    return [people[name] for name in UNPRIVILEGED if name in people]


def _works(launch: Launch, program: Path, folder: Path) -> bool:
    """Whether *program* starts this way and can write into *folder*."""
    identity = launch.run_as
    if identity is not None:
        give(folder, identity)
    probe = 'test -w "$1" && exec "$0" --version'
    try:
        subprocess.run(
            [*launch.prefix, "sh", "-c", probe, str(program), str(folder)],
            cwd="/",
            check=True,
            capture_output=True,
            timeout=PROBE_SECONDS,
            user=identity.user if identity else None,
            group=identity.group if identity else None,
            extra_groups=[] if identity else None,
        )
    except (OSError, subprocess.SubprocessError):
        if identity is not None:
            give(folder, Identity(os.geteuid(), os.getegid()))
        return False
    return True


def give(path: Path, identity: Identity) -> None:
    """Make *identity* the owner of *path* and of everything below it."""
    for each in (path, *path.rglob("*")):
        os.chown(each, identity.user, identity.group, follow_symlinks=False)


def _has_a_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True
