"""What a backtest counts; bounded, however many events it goes through."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from starter.simulation.steps import Fate, SimulatedStep

# More kinds of reasons than this nobody reads, and a text could make one for every event.
_REASONS: Final = 50
_OTHER: Final = "other reasons"
_VALUES: Final = re.compile(r" \(it is [^;]*?\)(?=;|$)")
_MOMENTS: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
_LATE_BY: Final = re.compile(r"^\w+ too late for ")


@dataclass(slots=True)
class HeldBy:
    """How often one rule held a message, and for how long at most and in all."""

    count: int = 0
    longest: timedelta = timedelta()
    total: timedelta = timedelta()


@dataclass(slots=True)
class Tally:
    """What a backtest found. Counters by reason leave out the values found, and people.

    ``days`` are the messages that would have gone, by the company's date; ``kept_back`` why
    matched events would have been skipped.
    """

    looked_at: int = 0
    not_listened_for: int = 0
    kept_back: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    segments: int = 0
    held: dict[str, HeldBy] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    acted: Counter[str] = field(default_factory=Counter)
    days: Counter[date] = field(default_factory=Counter)
    unreadable: int = 0

    @property
    def messages(self) -> int:
        """How many would have gone."""
        return self.sent.total()

    def keep_back(self, reason: str) -> None:
        """Count a matched event that sets nothing off."""
        _count(self.kept_back, reason)

    def add_run(self, steps: Iterable[SimulatedStep], zone: ZoneInfo) -> None:
        """Count one run, step by step."""
        self.runs += 1
        for step in steps:
            for held in step.held:
                by = self.held.setdefault(_plain(held.reason), HeldBy())
                by.count += 1
                by.longest = max(by.longest, held.until - held.since)
                by.total += held.until - held.since
            if step.fate is Fate.DONE:
                self.acted[step.kind] += 1
            if step.message is None:
                continue
            if step.fate is Fate.SENT:
                self.sent[step.message.channel] += 1
                self.segments += step.message.segments or 0
                self.days[(step.until or step.at).astimezone(zone).date()] += 1
            else:
                counter = self.failed if step.fate is Fate.FAILED else self.skipped
                _count(counter, step.reason or "no reason")


def _count(counter: Counter[str], reason: str) -> None:
    reason = _plain(reason)
    counter[reason if reason in counter or len(counter) < _REASONS else _OTHER] += 1


def _plain(reason: str) -> str:
    """Return *reason* without values and moments, so that the same counts as the same."""
    return _LATE_BY.sub("too late for ", _MOMENTS.sub("its moment", _VALUES.sub("", reason)))
