"""Every guard is worth its lines: with one of them switched off, the judge names the promise."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import TextClause, text
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy

import activities.email
import fixlify.domain.runs
import fixlify.storage.executions
import fixlify.storage.messages.entering
import fixlify.storage.messages.ledger
import starter.launch
import starter.launches
import starter.matching
from activities.delivery import Finding
from activities.sms import SmsSender
from benchmarks.chaos.verdict import judge
from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.domain.runs import ExecutionStatus, MessageStatus, SendReceipt
from fixlify.storage.messages import Ledger
from fixlify.storage.messages.refusals import REFUSAL
from starter.relay import Relay
from tests import mishaps
from tests.day import REST, Day, Hooks
from tests.engine import running_engine
from tests.mishaps import ARRIVAL, MISHAPS, TAGGING, THANKS, Mishap, play
from tests.office import Office

SEED = 7


class Saboteur:
    """Switches guards off, for one test."""

    def __init__(self, patch: pytest.MonkeyPatch, office: Office) -> None:
        self.patch = patch
        self._office = office

    def without(self, module: Any, statement: str, part: str, instead: str = "") -> None:
        """Take *part*, a pattern, out of a statement; it has to be there."""
        original: TextClause = getattr(module, statement)
        mutated, times = re.subn(part, instead, original.text, flags=re.DOTALL)
        assert times == 1, f"{statement} has no {part!r}: this mutation would change nothing"
        self.patch.setattr(module, statement, text(mutated))

    async def sql(self, statement: str) -> None:
        """Change the schema of the test's own database."""
        await self._office.query(statement)


@dataclass(frozen=True)
class Mutation:
    """A guard switched off, what happens to meet it, and the promise that breaks."""

    sentence: str
    breaks: str
    meets: Mishap
    switch_off: Callable[[Saboteur], Any]


LEDGER = fixlify.storage.messages.ledger
ENTERING = fixlify.storage.messages.entering
EXECUTIONS = fixlify.storage.executions
A_RUN_UNDER_WAY = r"AND e\.status IN \('running', 'waiting'\)"


async def forget_occurrences(saboteur: Saboteur) -> None:
    await saboteur.sql(
        "ALTER TABLE automation_execution_logs"
        " DROP CONSTRAINT automation_execution_logs_automation_id_occurrence_key_key"
    )
    conflict = r"ON CONFLICT \(automation_id, occurrence_key\) DO NOTHING"
    saboteur.without(EXECUTIONS, "_INSERT", conflict)


async def forget_steps(saboteur: Saboteur) -> None:
    await saboteur.sql("ALTER TABLE messages DROP CONSTRAINT messages_execution_id_step_id_key")
    conflict = r"ON CONFLICT \(execution_id, step_id\).*?WHERE messages\.status = 'held'"
    saboteur.without(ENTERING, "_ENTER", conflict)


async def know_no_doubt(saboteur: Saboteur) -> None:
    async def lost(ledger: Ledger, reason: str) -> SendReceipt:
        return await ledger._settle(MessageStatus.QUEUED, reason)

    saboteur.patch.setattr(Ledger, "lost", lost)


async def send_again_without_asking(saboteur: Saboteur) -> None:
    async def find(*_: object) -> Finding:
        return Finding(cleared="sent again, as nobody asked")

    saboteur.patch.setattr(SmsSender, "find", find)


async def doubt_for_longer(saboteur: Saboteur) -> None:
    saboteur.patch.setattr(activities.email, "MOST_DOUBTS", activities.email.MOST_DOUBTS + 1)


async def pass_over_what_matches(saboteur: Saboteur) -> None:
    saboteur.patch.setattr("starter.relay.find_matches", lambda *_: [])


async def launch_whatever_ran(saboteur: Saboteur) -> None:
    policy = SimpleNamespace(REJECT_DUPLICATE=WorkflowIDReusePolicy.ALLOW_DUPLICATE)
    saboteur.patch.setattr(starter.launch, "WorkflowIDReusePolicy", policy)


async def leave_it_behind(saboteur: Saboteur) -> None:
    async def launch_waiting(relay: Relay) -> int:
        return 0

    saboteur.patch.setattr(Relay, "launch_waiting", launch_waiting)
    saboteur.patch.setattr("tests.day.REST", REST / 15)


async def call_everything_done(saboteur: Saboteur) -> None:
    saboteur.patch.setattr(
        fixlify.domain.runs, "run_status", lambda *_: (ExecutionStatus.COMPLETED, None)
    )


async def trust_every_chain(saboteur: Saboteur) -> None:
    saboteur.patch.setattr(starter.matching, "_chained", lambda *_: None)


async def record_nothing(saboteur: Saboteur) -> None:
    await saboteur.sql("ALTER TABLE jobs DISABLE TRIGGER fixlify_job_recorded")


async def check_what_is_recorded(saboteur: Saboteur) -> None:
    await saboteur.sql(
        "ALTER TABLE automation_events ADD CHECK (data ->> 'after' <> 'completed') NOT VALID"
    )


def claims_without(part: str, instead: str = "") -> Callable[[Saboteur], Any]:
    async def switch_off(saboteur: Saboteur) -> None:
        saboteur.without(LEDGER, "CLAIM", part, instead)

    return switch_off


def without(module: Any, statement: str, part: str, instead: str = "") -> Callable[[Saboteur], Any]:
    async def switch_off(saboteur: Saboteur) -> None:
        saboteur.without(module, statement, part, instead)

    return switch_off


MUTATIONS = [
    Mutation(
        "a row trigger is off, and a change leaves no event",
        "P1",
        mishaps.calm,
        record_nothing,
    ),
    Mutation(
        "a relay marks what it never matched",
        "P1",
        mishaps.calm,
        pass_over_what_matches,
    ),
    Mutation(
        "an occurrence may have two executions",
        "P2",
        mishaps.outbox_comes_back,
        forget_occurrences,
    ),
    Mutation(
        "two relays look into the same duplicate window at once",
        "P2",
        mishaps.two_relays_at_once,
        without(EXECUTIONS, "_LOCK_SUBJECTS", r"pg_advisory_xact_lock\(key\)", "key"),
    ),
    Mutation(
        "the duplicate window is a moment long",
        "P2",
        mishaps.two_relays_at_once,
        without(EXECUTIONS, "_IN_WINDOW", r"WHERE e\.status", "WHERE false AND e.status"),
    ),
    Mutation(
        "a workflow that ended may be started again",
        "P3",
        mishaps.launched_after_its_end,
        launch_whatever_ran,
    ),
    Mutation(
        "any workflow that comes gets the execution",
        "P3",
        mishaps.temporal_is_set_up_anew,
        without(EXECUTIONS, "_BEGIN", r"AND \(e\.status = 'pending' OR .*?\)\)\n", "\n"),
    ),
    Mutation(
        "a step may have two messages",
        "P4",
        mishaps.rendered_by_two,
        forget_steps,
    ),
    Mutation(
        "two attempts may both have the message",
        "P4",
        mishaps.heir_before_its_time,
        claims_without(r"AND m\.status IN \('queued', 'held'\)"),
    ),
    Mutation(
        "what a dead attempt left behind is simply sent again",
        "P4",
        mishaps.worker_dies_after_the_call,
        claims_without(r"'queued', 'held'\)", "'queued', 'held', 'sending')"),
    ),
    Mutation(
        "nobody is ever in doubt, and what may be there is sent again",
        "P4",
        mishaps.provider_loses_its_answer,
        know_no_doubt,
    ),
    Mutation(
        "a text in doubt is sent again without asking for it",
        "P4",
        mishaps.worker_dies_after_the_call,
        send_again_without_asking,
    ),
    Mutation(
        "a mail in doubt is sent a third time",
        "P4",
        mishaps.provider_loses_its_answer,
        doubt_for_longer,
    ),
    Mutation(
        "consent is not asked for again before the call",
        "P5",
        mishaps.opts_out_after_the_rendering,
        claims_without(re.escape(f"AND {REFUSAL} IS NULL")),
    ),
    Mutation(
        "whose job it is is not looked at again before the call",
        "P5",
        mishaps.changes_hands_after_the_rendering,
        claims_without(r"AND people\.known AND .*?AND NOT", "AND people.known AND NOT"),
    ),
    Mutation(
        "what ends the run is not looked at again before the call",
        "P5",
        mishaps.cancelled_after_the_rendering,
        claims_without(r"AND \(:weighed OR .*\)\)\n", "AND (:weighed OR true)\n"),
    ),
    Mutation(
        "whether the run goes on is not looked at again before the call",
        "P6",
        mishaps.ended_while_rendering,
        claims_without(A_RUN_UNDER_WAY),
    ),
    Mutation(
        "a run is completed whatever became of its steps",
        "P6",
        mishaps.provider_loses_its_answer,
        call_everything_done,
    ),
    Mutation(
        "nobody says why a message did not go",
        "P7",
        mishaps.opts_out_after_the_rendering,
        without(LEDGER, "_SETTLE", r"reason = :reason", "reason = left(:reason, 0)"),
    ),
    Mutation(
        "recording may fail, and the business's write with it",
        "P9",
        mishaps.calm,
        check_what_is_recorded,
    ),
    Mutation(
        "an automation may set itself off",
        "P10",
        mishaps.sets_itself_off,
        trust_every_chain,
    ),
    Mutation(
        "nobody launches what a dead relay left behind",
        "P11",
        mishaps.relay_dies_before_the_launch,
        leave_it_behind,
    ),
]


@pytest.fixture
async def day(
    office: Office,
    temporal_client: Client,
    mail: MailCatcher,
    phone: SmsCatcher,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Day]:
    """A day that has begun, with the engine at work, and another company beside this one."""
    # What a relay left behind is nobody's from the first moment on.
    monkeypatch.setattr(starter.launches, "SETTLED", starter.launches.SETTLED * 0)
    hooks = Hooks()
    hooks.install(monkeypatch)
    for automation in (THANKS, ARRIVAL, TAGGING):
        await office.apply(automation)
    async with (
        await Office.open(office.url, "Southwind Cooling"),
        running_engine(office, temporal_client, mail, phone) as engine,
    ):
        day = Day(office, engine, temporal_client, mail, phone, hooks, SEED)
        yield day
        await day.close()


async def test_the_worst_day_breaks_no_promise(day: Day) -> None:
    """And nothing of it goes unlooked at: what a mutation breaks, the mutation broke."""
    await play(day, MISHAPS, SEED)

    verdict = await judge(day.evidence())

    assert verdict.holds, "\n\n".join([str(verdict.as_json()), *verdict.stories()])
    assert all(check.checked > 0 for check in verdict.promises.values())
    assert (verdict.lost, verdict.duplicated) == (0, 0)
    # The mail server lost both its answers; and it had the mail of the worker that died.
    assert (verdict.unknown, verdict.repeated_emails) == (1, 2)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.sentence)
async def test_a_guard_that_is_off_is_missed(
    mutation: Mutation, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mutation.switch_off(Saboteur(monkeypatch, day.office))
    await play(day, [mutation.meets], SEED)

    verdict = await judge(day.evidence())

    assert mutation.breaks in verdict.broken
    assert verdict.promises[mutation.breaks].violations
