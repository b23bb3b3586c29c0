"""The results of a run: what was measured, where and when, and what failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.report.machine import is_same_machine
from benchmarks.suite import Figures

FILE: Final = "results.json"
_OURS: Final = frozenset({"machine", "taken_at", "commit", "quick", "measured", "failed"})


class CannotMergeError(Exception):
    """Two runs that must not stand on one page; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When one suite was measured, of which commit, and for how long."""

    taken_at: str
    commit: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Results:
    """What one run measured.

    As JSON it is one object: ``machine``, ``taken_at`` (ISO 8601, UTC), ``commit``, ``quick``,
    ``measured`` (a stamp by suite), ``failed`` (a sentence by suite), and the figures of each
    suite under its name.
    """

    machine: Mapping[str, Any]
    taken_at: str
    commit: str
    quick: bool
    figures: dict[str, Figures] = field(default_factory=dict)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def figure(self, suite: str, name: str) -> float | None:
        """Return one figure, or None where it was not measured."""
        value = self.figures.get(suite, {}).get(name)
        return None if value is None or isinstance(value, str) else float(value)

    def on_top_of(self, earlier: Results) -> Results:
        """Return *earlier* with the suites of this run in place of its own.

        Raises:
            CannotMergeError: They are of two machines, or one is a quick run.
        """
        if self.quick or earlier.quick:
            raise CannotMergeError(
                "quick figures are not mixed with others; choose another --output"
            )
        if not is_same_machine(self.machine, earlier.machine):
            raise CannotMergeError(
                "the results that are there are of another machine or of other versions, and one "
                "page is of one machine; measure every suite anew, or choose another --output"
            )
        kept = {name: error for name, error in earlier.failed.items() if name not in self.figures}
        # A suite that failed now has no figures; those of before were right when they were taken.
        return Results(
            self.machine,
            self.taken_at,
            self.commit,
            quick=False,
            figures={**earlier.figures, **self.figures},
            stamps={**earlier.stamps, **self.stamps},
            failed={**kept, **self.failed},
        )

    def as_json(self) -> dict[str, Any]:
        """Return the one object that is written and printed."""
        return {
            "machine": dict(self.machine),
            "taken_at": self.taken_at,
            "commit": self.commit,
            "quick": self.quick,
            "measured": {
                name: {
                    "taken_at": stamp.taken_at,
                    "commit": stamp.commit,
                    "seconds": stamp.seconds,
                }
                for name, stamp in self.stamps.items()
            },
            "failed": self.failed,
            **self.figures,
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Return what ``as_json`` wrote."""
        return cls(
            machine=written["machine"],
            taken_at=written["taken_at"],
            commit=written["commit"],
            quick=written["quick"],
            figures={name: value for name, value in written.items() if name not in _OURS},
            stamps={name: Stamp(**stamp) for name, stamp in written["measured"].items()},
            failed=written["failed"],
        )


def read(folder: Path) -> Results | None:
    """Return the results in *folder*; None if there are none."""
    file = folder / FILE
    return Results.from_json(json.loads(file.read_text())) if file.exists() else None


def write(results: Results, folder: Path) -> None:
    """Write *results* into *folder*, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(results.as_json(), indent=2, allow_nan=False) + "\n")
