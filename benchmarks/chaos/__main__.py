"""Break everything under the engine, and see whether anything was lost or repeated.

``python -m benchmarks.chaos --seed 7 --minutes 2 [--json] [--keep]`` exits with 0 only where
every promise held. The same seed plans the same faults again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmarks.chaos.run import Glimpse, Played, faults_by_kind, play
from benchmarks.chaos.verdict import Verdict, judge
from benchmarks.chaos.world import World, open_world
from fixlify.domain.errors import FixlifyError
from fixlify.logs import configure_logging

# Nobody watches a log as one watches a screen.
_LINE_EVERY: Final = 15.0

errors = Console(stderr=True)


def main() -> int:
    """Run once; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=7, help="what goes wrong, and when")
    parser.add_argument("--minutes", type=float, default=2, help="how long; then it is drained")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    arguments = parser.parse_args()
    if not 0.5 <= arguments.minutes <= 24 * 60:
        parser.error("--minutes takes half a minute to a day")
    # Reports that find nobody are part of the day.
    configure_logging("error")
    home = Path(mkdtemp(prefix="fixlify-chaos-"))
    try:
        return asyncio.run(_run(arguments, home))
    except KeyboardInterrupt:
        return 130
    except (FixlifyError, TimeoutError) as error:
        errors.print(Text(f"chaos could not be played (seed {arguments.seed}): {error}", "red"))
        return 2
    finally:
        if arguments.keep:
            errors.print(f"Everything is kept in {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)


async def _run(arguments: argparse.Namespace, home: Path) -> int:
    running = asyncio.current_task()
    assert running is not None, "we are run as a task"  # noqa: S101
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    duration = timedelta(minutes=arguments.minutes)
    errors.print(f"Seed {arguments.seed}, {arguments.minutes:g} minutes; below {home}")
    with suppress(asyncio.CancelledError):
        async with open_world(home) as world:
            with _Screen() as screen:
                played = await play(world, arguments.seed, duration, screen.show)
            verdict = await judge(played.evidence)
            result = _result(arguments, world, played, verdict)
            _report(result, played, verdict)
            if arguments.json:
                print(json.dumps(result, default=str))  # noqa: T201 - it was asked for
            return 0 if result["holds"] else 1
    return 130


def _result(
    arguments: argparse.Namespace, world: World, played: Played, verdict: Verdict
) -> dict[str, Any]:
    evidence = played.evidence
    return {
        "seed": arguments.seed,
        "minutes": arguments.minutes,
        **verdict.as_json(),
        "holds": verdict.holds and not played.left,
        "faults": len(evidence.faults),
        "faults_by_kind": faults_by_kind(evidence),
        "faults_during_recovery": sum(fault.during_recovery for fault in evidence.faults),
        "changes": len(evidence.changes),
        "emails": len(evidence.emails),
        "texts": len(evidence.texts),
        "left": {
            "events": played.left.events,
            "signals": played.left.signals,
            "executions": played.left.executions,
        },
        "drained_seconds": played.drained_seconds,
        "recovery_seconds": {
            part.name: {
                "times": len(part.recoveries),
                "median": round(median(part.recoveries), 2),
                "max": round(max(part.recoveries), 2),
            }
            for part in world.parts.values()
            if part.recoveries
        },
        "ended_by_themselves": len(played.surprises),
    }


def _report(result: dict[str, Any], played: Played, verdict: Verdict) -> None:
    faults = Table("fault", "times", title="What went wrong")
    for kind, times in result["faults_by_kind"].items():
        faults.add_row(kind, str(times))
    promises = Table("promise", "holds", "checked", "violations", title="What held")
    for name, check in result["promises"].items():
        violations = check["violations"]
        holds = Text("yes", "green") if check["holds"] else Text("no", "red")
        promises.add_row(name, holds, str(check["checked"]), str(len(violations)))
    errors.print(faults, promises)
    for missed in played.missed:
        errors.print(Text(f"not struck: {missed}", "dim"))
    for surprise in played.surprises:
        errors.print(Text(surprise, "yellow"))
    if result["holds"]:
        errors.print(
            Text(
                f"{result['changes']} changes under {result['faults']} faults: nothing was lost, "
                "nothing repeated.",
                "green",
            )
        )
        return
    if played.left:
        errors.print(Text(f"Left undone: {result['left']}", "red"))
    for story in verdict.stories():
        errors.print(Text(story))
    errors.print(
        Text(
            f"Chaos does not hold. The same faults again, with everything kept: python -m "
            f"benchmarks.chaos --seed {result['seed']} --minutes {result['minutes']:g} --keep",
            "bold red",
        )
    )


class _Screen:
    """One line that changes on a terminal, one now and then elsewhere."""

    def __init__(self) -> None:
        self._live = Live(console=errors, transient=True) if errors.is_terminal else None
        self._next_line = 0.0

    def __enter__(self) -> _Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, seen: Glimpse) -> None:
        line = (
            f"{seen.at:5.0f} s  {seen.doing}: {seen.faults} faults, {seen.changes} changes, "
            f"{seen.emails} emails, {seen.texts} texts"
        )
        if self._live is not None:
            self._live.update(Text(line))
        elif seen.at >= self._next_line:
            self._next_line = seen.at + _LINE_EVERY
            errors.print(line)


if __name__ == "__main__":
    sys.exit(main())
