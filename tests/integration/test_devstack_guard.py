"""A server started by us never outlives us."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from signal import Signals

import pytest

from devstack.locks import FileLock
from devstack.process import GuardedProcess, StopStep, take_over
from fixlify.domain.errors import DevstackError
from tests.integration.devstack_owner import SLEEPER, Owner, eventually, processes_of

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs prctl and pidfd")
STUBBORN = "trap '' TERM; echo armed; while :; do sleep 0.05; done"
Guarded = Callable[..., GuardedProcess]


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Start a command under guard in *tmp_path*; it is stopped at the end."""
    started = []

    def start(
        *command: str, stop_plan: tuple[StopStep, ...] = (StopStep(Signals.SIGTERM, PATIENT),)
    ) -> GuardedProcess:
        running = FileLock(tmp_path / "running.lock")
        assert running.try_acquire()
        process = GuardedProcess(
            command,
            running=running,
            log=tmp_path / "log",
            stop_plan=stop_plan,
            environment=dict(os.environ),
        )
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        await process.stop()


PATIENT = timedelta(seconds=20)
AT_ONCE = timedelta(milliseconds=10)


async def test_it_reports_the_exit_code_of_the_command(guarded: Guarded) -> None:
    assert await guarded("sh", "-c", "exit 7").wait() == 7


async def test_it_reports_a_command_that_does_not_exist(guarded: Guarded, tmp_path: Path) -> None:
    assert await guarded("no-such-program").wait() == 127
    assert "cannot run no-such-program" in (tmp_path / "log").read_text()


async def test_it_stops_a_command_that_has_hardly_started(guarded: Guarded) -> None:
    """The signal may come between fork and exec; it must not be lost there."""
    for _ in range(5):
        process = guarded("sleep", "600")
        await process.stop()
        assert process.exit_code == 128 + Signals.SIGTERM


async def test_a_terminal_cannot_interrupt_the_command(guarded: Guarded, tmp_path: Path) -> None:
    """Ctrl-C goes to the owner alone, who may still need the server to finish its work."""
    guarded(*SLEEPER)
    running = FileLock(tmp_path / "running.lock")
    await eventually(lambda: running.note().isdigit(), "the command runs")
    assert os.getsid(int(running.note())) != os.getsid(0)


async def test_it_kills_what_does_not_listen(guarded: Guarded, tmp_path: Path) -> None:
    process = guarded("sh", "-c", STUBBORN, stop_plan=(StopStep(Signals.SIGTERM, AT_ONCE),))
    await eventually(lambda: "armed" in (tmp_path / "log").read_text(), "it ignores SIGTERM")
    await process.stop()
    assert process.exit_code == 128 + Signals.SIGKILL


async def test_it_goes_through_its_plan_in_order(guarded: Guarded, tmp_path: Path) -> None:
    plan = (StopStep(Signals.SIGTERM, AT_ONCE), StopStep(Signals.SIGINT, PATIENT))
    script = STUBBORN.replace("trap", "trap 'exit 3' INT; trap")
    process = guarded("sh", "-c", script, stop_plan=plan)
    await eventually(lambda: "armed" in (tmp_path / "log").read_text(), "it ignores SIGTERM")
    await process.stop()
    assert process.exit_code == 3


async def test_descendants_hold_the_lock_until_the_last_is_gone(
    guarded: Guarded, tmp_path: Path
) -> None:
    """A server's children may outlive it for a while, and still use its files."""
    process = guarded("sh", "-c", f"sleep 600 & echo $! > {tmp_path}/child; exit 0")
    await process.wait()
    running = FileLock(tmp_path / "running.lock")
    assert not running.try_acquire()
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
    await eventually(running.try_acquire, "the lock is free")
    running.release()


@linux_only
async def test_the_command_dies_with_a_guard_that_is_killed(
    guarded: Guarded, tmp_path: Path
) -> None:
    guarded(*SLEEPER, str(tmp_path))
    await eventually(lambda: "armed" in (tmp_path / "log").read_text(), "it runs")
    guards = [line for line in processes_of(tmp_path) if "guard.py" in line]
    os.kill(int(guards[0].split()[0]), signal.SIGKILL)
    await eventually(lambda: not processes_of(tmp_path), "guard and command are gone")


@linux_only
async def test_a_fork_of_the_owner_does_not_keep_the_command_alive(tmp_path: Path) -> None:
    """Whoever forks without exec inherits the pipe that tells the guard we are there."""
    sleeper = tmp_path / "sleeper"
    async with Owner("fork", tmp_path) as owner:
        try:
            await eventually(lambda: bool(processes_of(sleeper)), "the command runs")
            os.kill(owner.pid, signal.SIGKILL)
            await eventually(lambda: not processes_of(sleeper), "the command is gone")
        finally:
            os.killpg(owner.pid, signal.SIGKILL)


async def test_taking_over_ends_what_was_left_behind(guarded: Guarded, tmp_path: Path) -> None:
    process = guarded("sleep", "600")
    running = FileLock(tmp_path / "running.lock")
    await eventually(lambda: running.note().isdigit(), "the command runs")
    await take_over(running, PATIENT, Signals.SIGTERM)
    assert await process.wait() == 128 + Signals.SIGTERM
    running.release()


async def test_taking_over_gives_up_on_what_does_not_end(guarded: Guarded, tmp_path: Path) -> None:
    guarded("sh", "-c", STUBBORN, stop_plan=(StopStep(Signals.SIGTERM, AT_ONCE),))
    await eventually(lambda: "armed" in (tmp_path / "log").read_text(), "it ignores SIGTERM")
    running = FileLock(tmp_path / "running.lock")
    with pytest.raises(DevstackError, match=rf"process {running.note()} .* still uses"):
        await take_over(running, AT_ONCE, Signals.SIGTERM)
