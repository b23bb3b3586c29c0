"""Walk through an automation by a virtual clock, as its workflow would, doing nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from fixlify.domain.conditions import satisfied
from fixlify.domain.durations import format_duration
from fixlify.domain.endings import exit_reason
from fixlify.domain.errors import RenderError
from fixlify.domain.moments import find_arrival
from fixlify.domain.steps import (
    Branch,
    CallWebhook,
    CreateTask,
    Exit,
    OnError,
    OnTimeout,
    SendEmail,
    SendSms,
    Step,
    UpdateRecord,
    Wait,
    WaitForEvent,
    WaitUntil,
)
from fixlify.rendering import render_task
from starter.simulation.steps import Fate, SimulatedStep
from starter.simulation.supposed import with_awaited
from starter.simulation.world import World

_WAITS = (Wait, WaitUntil, WaitForEvent)


def walk(world: World, begin: datetime, *, happens: bool = True) -> Iterator[SimulatedStep]:
    """Yield what becomes of each step of the automation, in the order it is reached.

    Args:
        world: What is known; what the walk sends is added to it.
        begin: When the run begins, aware.
        happens: Whether every ``wait_for_event`` sees its event, as soon as it waits for it;
            else each runs into its time-out.
    """
    return _Walk(world, begin, happens=happens).steps(world.pinned.definition.steps, 0)


class _Walk:
    """One walk. Its clock stands still but for waits and for what is held."""

    def __init__(self, world: World, begin: datetime, *, happens: bool) -> None:
        self._world = world
        self._now = begin
        self._happens = happens
        self._is_over = False
        # What is sent hangs on the moment last waited for: nobody wants to be reminded after it.
        self._good_until: datetime | None = None

    def steps(self, steps: Sequence[Step], depth: int) -> Iterator[SimulatedStep]:
        missed = None
        for act in _acts(steps):
            if isinstance(act[0], _WAITS):
                missed = None
            if missed is not None:
                yield from (self._skipped(step, depth, missed) for step in act)
                continue
            for done in self._do(act, depth):
                if isinstance(act[0], WaitUntil) and done.fate is Fate.SKIPPED and act[0].enabled:
                    missed = f"skipped with {act[0].id}"
                yield done
            if self._is_over:
                return

    def _do(self, act: Sequence[Step], depth: int) -> Iterator[SimulatedStep]:
        enabled = [step for step in act if step.enabled]
        yield from (
            self._skipped(step, depth, "it is not enabled") for step in act if not step.enabled
        )
        if not enabled:
            return
        step = enabled[0]
        # A plain wait looks at nothing; an exit is the end anyway.
        if not isinstance(step, Wait | Exit) and (over := self._exit_reason()) is not None:
            self._is_over = True
            yield self._step(step, Fate.ENDED, depth, reason=over)
            return
        match step:
            case SendEmail() | SendSms():
                yield from self._send(enabled, depth)
            case Wait() | WaitUntil() | WaitForEvent():
                yield self._wait(step, depth)
            case Branch():
                yield from self._branch(step, depth)
            case Exit():
                self._is_over = True
                yield self._step(step, Fate.ENDED, depth, reason=f"ended at {step.id}")
            case _:
                yield self._act(step, depth)

    def _send(self, act: Sequence[Step], depth: int) -> Iterator[SimulatedStep]:
        """Send neighbours side by side; the run goes on when the last of them has gone."""
        last = self._now
        for step in act:
            assert isinstance(step, SendEmail | SendSms)  # noqa: S101 - neighbours are alike
            outcome = self._world.send(step, self._now, self._good_until)
            fate = Fate.SENT if outcome.reason is None else Fate.SKIPPED
            fate = Fate.FAILED if outcome.failed else fate
            last = max(last, outcome.at)
            yield self._step(
                step,
                fate,
                depth,
                until=outcome.at if outcome.held else None,
                reason=outcome.reason,
                held=outcome.held,
                message=outcome.message,
            )
            self._stop_on_failure(step, fate)
        self._now = last

    def _wait(self, step: Wait | WaitUntil | WaitForEvent, depth: int) -> SimulatedStep:
        self._good_until = None
        match step:
            case Wait():
                return self._waited(
                    step, depth, self._now + step.for_, f"for {format_duration(step.for_)}"
                )
            case WaitUntil():
                return self._until(step, depth)
            case WaitForEvent():
                return self._for_event(step, depth)

    def _until(self, step: WaitUntil, depth: int) -> SimulatedStep:
        arrival = find_arrival(step, self._world.facts_at(self._now), self._now)
        if arrival.late is not None:
            return self._skipped(step, depth, arrival.late)
        until = max(arrival.until or self._now, self._now)
        told = "at once: there is no moment to wait for" if arrival.until is None else None
        done = self._waited(step, depth, until, told)
        self._good_until = arrival.good_until
        return done

    def _for_event(self, step: WaitForEvent, depth: int) -> SimulatedStep:
        deadline = self._now + step.timeout
        asked = step.event.model_dump(mode="json", by_alias=True, exclude_none=True)
        wanted = ", ".join(f"{key} {_words(asked[key])}" for key in asked if key != "type")
        event = f"{step.event.type} ({wanted})" if wanted else step.event.type
        after = "the run ends" if step.on_timeout is OnTimeout.EXIT else "the run goes on"
        both = f"{event}; if it has not come by {deadline:%Y-%m-%d %H:%M} UTC, {after}"
        if self._happens:
            self._world.facts = with_awaited(self._world.facts, step.event)
            return self._waited(
                step, depth, self._now, f"for {both}. From here on: as if it came at once"
            )
        self._is_over = step.on_timeout is OnTimeout.EXIT
        reason = f"it did not happen within {format_duration(step.timeout)}"
        return self._waited(step, depth, deadline, f"for {both}", reason)

    def _waited(
        self,
        step: Step,
        depth: int,
        until: datetime,
        told: str | None,
        reason: str | None = None,
    ) -> SimulatedStep:
        done = self._step(step, Fate.WAITED, depth, until=until, told=told, reason=reason)
        self._now = until
        return done

    def _branch(self, step: Branch, depth: int) -> Iterator[SimulatedStep]:
        facts = self._world.facts_at(self._now)
        holds = step.if_.holds(facts)
        because = satisfied(step.if_, facts) if holds else "; ".join(step.if_.failures(facts))
        side = "then" if holds else "else"
        yield self._step(step, Fate.BRANCHED, depth, told=f"{side}: {because}")
        yield from self.steps(step.then if holds else step.otherwise, depth + 1)

    def _act(self, step: Step, depth: int) -> SimulatedStep:
        try:
            told = self._deed(step)
        except RenderError as error:
            self._stop_on_failure(step, Fate.FAILED)
            return self._step(step, Fate.FAILED, depth, reason=str(error))
        return self._step(step, Fate.DONE, depth, told=told)

    def _deed(self, step: Step) -> str:
        facts = self._world.facts_at(self._now)
        match step:
            case CallWebhook():
                told = f", with {', '.join(step.fields)}" if step.fields else ", with the ids alone"
                return f"call {step.url}{told}"
            case UpdateRecord():
                record = step.record or self._world.subject.type
                writes = [f"{name} = {value}" for name, value in step.set.items()]
                writes += [f"add tag {tag}" for tag in step.add_tags]
                writes += [f"remove tag {tag}" for tag in step.remove_tags]
                return f"write the {record}: {', '.join(writes)}"
            case CreateTask():
                text = render_task(step.title, step.description, facts)
                whose = f" for the {step.assign_to}" if step.assign_to else ""
                due = f", due in {format_duration(step.due_in)}" if step.due_in else ""
                return f"enter a task{whose}{due}: {text.title}"
            case _:
                return step.type

    def _exit_reason(self) -> str | None:
        return exit_reason(self._world.pinned.definition, self._world.facts_at(self._now))

    def _stop_on_failure(self, step: Step, fate: Fate) -> None:
        if fate is Fate.FAILED and step.on_error is OnError.STOP:
            self._is_over = True

    def _skipped(self, step: Step, depth: int, reason: str) -> SimulatedStep:
        return self._step(step, Fate.SKIPPED, depth, reason=reason)

    def _step(self, step: Step, fate: Fate, depth: int, **details: Any) -> SimulatedStep:
        return SimulatedStep(
            step_id=str(step.id),
            kind=step.type,
            fate=fate,
            at=self._now,
            depth=depth,
            **details,
        )


def _acts(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Group neighbouring messages; every other step stands alone."""
    numbered = enumerate(steps)
    for _, act in groupby(
        numbered, key=lambda item: -1 if isinstance(item[1], SendEmail | SendSms) else item[0]
    ):
        yield [step for _, step in act]


def _words(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list) else str(value)
