"""The three ledgers side by side: the business's rows, ours, and what the far ends have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Final, TypeVar
from uuid import UUID

from benchmarks.chaos.evidence import Evidence
from benchmarks.chaos.rows import (
    Automation,
    Client,
    Decision,
    Event,
    Execution,
    Job,
    Message,
    Refusal,
    Step,
    Transition,
    Workflow,
)
from fixlify.domain.rules import Rules

Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)

STALLED: Final = timedelta(seconds=5)
"""How long a statement may hang between what it saw and what it wrote while things are broken."""

NOBODY: Final = UUID(int=0)
"""An id that no row has."""


@dataclass(frozen=True)
class Ledgers:
    """Everything that was recorded anywhere, read once when all has come to rest.

    ``names``, ``zones`` and ``rules`` are the organizations'. ``over`` are executions whose exit
    condition holds by the facts as they are. ``undelivered`` counts signals nobody delivered.
    ``workflows`` is None where no Temporal was there.
    """

    evidence: Evidence
    names: Mapping[UUID, str]
    zones: Mapping[UUID, str]
    rules: Mapping[UUID, Rules]
    automations: Sequence[Automation]
    jobs: Sequence[Job]
    clients: Sequence[Client]
    refusals: Sequence[Refusal]
    events: Sequence[Event]
    executions: Sequence[Execution]
    steps: Sequence[Step]
    decisions: Sequence[Decision]
    messages: Sequence[Message]
    transitions: Sequence[Transition]
    undelivered: int = 0
    over: frozenset[UUID] = frozenset()
    workflows: Sequence[Workflow] | None = None

    @property
    def race(self) -> timedelta:
        """How far two moments may be out of order without anybody having done wrong."""
        return STALLED if self.evidence.faults else timedelta(0)

    @cached_property
    def execution(self) -> Mapping[UUID, Execution]:
        """Executions by id."""
        return {each.id: each for each in self.executions}

    @cached_property
    def automation(self) -> Mapping[UUID, Automation]:
        """Automations by id."""
        return {each.id: each for each in self.automations}

    @cached_property
    def message(self) -> Mapping[UUID, Message]:
        """Messages by id."""
        return {each.id: each for each in self.messages}

    @cached_property
    def job(self) -> Mapping[tuple[UUID, str], Job]:
        """Jobs by organization and id."""
        return {(each.organization_id, each.id): each for each in self.jobs}

    @cached_property
    def client(self) -> Mapping[UUID, Client]:
        """Clients by id."""
        return {each.id: each for each in self.clients}

    @cached_property
    def transitions_of(self) -> Mapping[UUID, Sequence[Transition]]:
        """The changes of each message, oldest first."""
        return grouped((each.message_id, each) for each in self.transitions)

    @cached_property
    def messages_of(self) -> Mapping[UUID, Sequence[Message]]:
        """The messages of each execution."""
        return grouped((each.execution_id, each) for each in self.messages)

    @cached_property
    def steps_of(self) -> Mapping[UUID, Sequence[Step]]:
        """The executed steps of each execution, in their order."""
        return grouped((each.execution_id, each) for each in self.steps)

    @cached_property
    def events_about(self) -> Mapping[tuple[UUID | None, str, str | None], Sequence[Event]]:
        """The events of each subject, by organization, type and id, oldest first."""
        return grouped(
            ((each.organization_id, each.subject_type, each.subject_id), each)
            for each in self.events
        )

    def hand_overs(self, message: Message) -> list[Transition]:
        """Return when *message* was taken by an attempt that was about to hand it over."""
        changes = self.transitions_of.get(message.id, ())
        return [each for each in changes if each.to_status == "sending"]

    def doubts(self, message: Message) -> int:
        """Return how often the ledger said that nobody knows the fate of *message*."""
        changes = self.transitions_of.get(message.id, ())
        return sum(each.to_status == "unknown" for each in changes)


def grouped(pairs: Iterable[tuple[Key, Row]]) -> Mapping[Key, Sequence[Row]]:
    """Return the second of each pair, in their order, by the first."""
    found: dict[Key, list[Row]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found
