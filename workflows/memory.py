"""What a run of an automation knows: the steps done, the events heard, when its waits end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from fixlify.domain.runs import Carried, PlannedStep, StepOutcome, StepStatus

# A signal is repeated within seconds, if at all; a run may hear of thousands of events.
TOLD_LIMIT: Final = 500


class RunMemory:
    """The state of one run; deterministic, and small enough to be carried into a new history.

    Attributes:
        outcomes: The steps done, by position.
        deadlines: When each wait that was begun ends, by step.
        held_since: Since when what a step would do is held, by step.
        nudges: How often the run was told anything. Compare it to know whether there is news.
        releases: How often it was told to try again what is held.
    """

    def __init__(self, carried: Carried | None) -> None:
        known = carried or Carried()
        self.outcomes: list[StepOutcome] = list(known.outcomes)
        self.deadlines: dict[str, datetime] = dict(known.deadlines)
        self.held_since: dict[str, datetime] = dict(known.held_since)
        self._heard: list[int] = list(known.heard)
        # A dict keeps the order they came in; a set would not.
        self._told: dict[int, None] = dict.fromkeys(known.told)
        self.releases = 0
        self.nudges = len(self._heard)

    def carry(self) -> Carried:
        """Return all of it, for a run that goes on in a new history."""
        return Carried(
            outcomes=tuple(self.outcomes),
            heard=tuple(self._heard),
            told=tuple(self._told),
            deadlines=self.deadlines,
            held_since=self.held_since,
        )

    def note(self, outcome: StepOutcome) -> None:
        """Remember how a step ended; the last word on a step stands."""
        self.outcomes = [done for done in self.outcomes if done.step_id != outcome.step_id]
        self.outcomes.append(outcome)
        self.outcomes.sort(key=lambda done: done.position)
        self.held_since.pop(outcome.step_id, None)

    def outcome_of(self, step: PlannedStep) -> StepOutcome | None:
        """Return how *step* ended, or None where it has not."""
        return next((done for done in self.outcomes if done.step_id == step.id), None)

    def has_failed(self, step: PlannedStep) -> bool:
        """Whether *step* ended, and not well."""
        done = self.outcome_of(step)
        return done is not None and done.status in (StepStatus.FAILED, StepStatus.UNKNOWN)

    def hear(self, event_ids: Iterable[int]) -> None:
        """Take in events, each once: signals are delivered again when in doubt."""
        news = [event_id for event_id in event_ids if event_id not in self._told]
        if not news:
            return
        self._heard += news
        self._told.update(dict.fromkeys(news))
        for forgotten in list(self._told)[:-TOLD_LIMIT]:
            del self._told[forgotten]
        self.nudges += 1

    def release(self, *, is_news: bool = True) -> None:
        """Take in that what is held may be tried again; what only waits hears of it as news."""
        self.releases += 1
        self.nudges += is_news

    @property
    def has_news(self) -> bool:
        """Whether it heard of events that nobody looked at yet."""
        return bool(self._heard)

    def take_news(self) -> tuple[int, ...]:
        """Return the events heard and not looked at yet; they are then looked at."""
        news, self._heard = tuple(self._heard), []
        return news

    def put_back(self, event_ids: Iterable[int]) -> None:
        """Count events as not looked at, before those that were heard since."""
        self._heard = [*event_ids, *self._heard]
