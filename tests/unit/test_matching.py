"""Deciding over a batch: what runs, what repeats, and what nothing needs to be said about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixlify.domain.automation import START_WITHIN, parse_definition
from fixlify.domain.events import Event, EventType, SubjectType
from fixlify.domain.facts import Subject
from fixlify.domain.lateness import OVERDUE_CATCH_UP
from fixlify.domain.runs import ExecutionStatus
from fixlify.storage.automations import Listening, ListeningAutomation
from fixlify.storage.executions import DUPLICATE_WINDOW, NewExecution, WindowKey
from starter.matching import MAX_CHAIN, Match, decide, find_matches
from tests.unit.sample_facts import facts

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
OURS, THEIRS = UUID(int=1), UUID(int=2)
COMPLETED = {"type": "job_completed"}
PENDING, SKIPPED = ExecutionStatus.PENDING, ExecutionStatus.SKIPPED

_ids = count(1)


def event(
    after: str | None = "completed",
    at: float = 0,
    *,
    before: str | None = "scheduled",
    job: str = "J-1",
    organization: UUID = OURS,
    kind: EventType = EventType.JOB_STATUS_CHANGED,
    waited: timedelta = timedelta(),
    chain: tuple[int, ...] = (),
) -> Event:
    """Return what a row trigger recorded *at* seconds after NOW."""
    return Event(
        id=next(_ids),
        organization_id=organization,
        type=kind,
        subject_type=SubjectType.JOB,
        subject_id=job,
        data={"before": before, "after": after},
        occurred_at=NOW + timedelta(seconds=at),
        waited=waited,
        chain=tuple(UUID(int=each) for each in chain),
    )


def automation(
    trigger: dict[str, Any] | None = None,
    *,
    number: int = 10,
    organization: UUID = OURS,
    conditions: dict[str, Any] | None = None,
    activated_at: datetime | None = None,
    start_within: timedelta = START_WITHIN,
) -> ListeningAutomation:
    definition = parse_definition(
        "test",
        {"name": f"Automation {number}", "trigger": trigger or COMPLETED, "conditions": conditions},
    )
    return ListeningAutomation(
        id=UUID(int=number),
        organization_id=organization,
        name=definition.name,
        version=3,
        trigger=definition.trigger,
        conditions=definition.conditions,
        start_within=start_within,
        activated_at=activated_at,
    )


def matches(*events: Event, by: ListeningAutomation | None = None) -> list[Match]:
    chosen = by or automation()
    return find_matches(events, {chosen.organization_id: Listening([chosen])})


def decisions(
    *events: Event,
    by: ListeningAutomation | None = None,
    ran: dict[WindowKey, list[datetime]] | None = None,
) -> list[tuple[ExecutionStatus, str | None]]:
    decided = decide(matches(*events, by=by), {}, ran or {})
    return [(execution.status, execution.reason) for execution in decided]


DUPLICATE = (SKIPPED, "duplicate")
RUNS = (PENDING, None)


class TestWhoMatches:
    """Events meet the automations of their own organization, and no others."""

    def test_every_automation_that_listens(self) -> None:
        both = [automation(number=10), automation({"type": "job_status_changed"}, number=11)]
        found = find_matches([event()], {OURS: Listening(both)})
        assert [match.automation.id.int for match in found] == [10, 11]

    def test_an_organization_never_sets_off_anothers(self) -> None:
        listening = {
            OURS: Listening([automation(number=10)]),
            THEIRS: Listening([automation(number=20, organization=THEIRS)]),
        }
        found = find_matches([event(organization=THEIRS)], listening)
        assert [match.automation.id.int for match in found] == [20]

    def test_an_organization_without_automations(self) -> None:
        assert find_matches([event(organization=THEIRS)], {OURS: Listening([automation()])}) == []

    def test_events_of_another_type(self) -> None:
        assert matches(event(kind=EventType.JOB_CREATED)) == []

    def test_what_happened_before_it_became_active_concerns_it_no_more(self) -> None:
        """A relay that was down finds old events; the office had not switched it on then."""
        listening = automation(activated_at=NOW)
        found = matches(event(at=-0.001), event(at=0), by=listening)
        assert [match.event.occurred_at for match in found] == [NOW]


OVERDUE = {"type": "invoice_overdue", "days": 7}


def swept(*, number: int = 10, late: str | None = None, waited: timedelta = timedelta()) -> Event:
    """Return what a sweep found for one automation."""
    return Event(
        id=next(_ids),
        organization_id=OURS,
        type=EventType.INVOICE_OVERDUE,
        subject_type=SubjectType.INVOICE,
        subject_id="5f0c",
        data={"days": 7} | ({"late": late} if late else {}),
        occurred_at=NOW,
        automation_id=UUID(int=number),
        occurrence_key="invoice_overdue/5f0c/7",
        waited=waited,
    )


class TestWhatASweepFound:
    """It is for one automation, and for one occurrence."""

    def test_it_reaches_its_own_automation_and_no_other(self) -> None:
        both = [automation(OVERDUE, number=10), automation(OVERDUE, number=11)]
        found = find_matches([swept(number=11)], {OURS: Listening(both)})
        assert [match.automation.id.int for match in found] == [11]

    def test_its_occurrence_is_the_sweeps_not_the_events(self) -> None:
        """A sweep that finds it again writes another event, and the key is taken."""
        [execution] = decide(matches(swept(), by=automation(OVERDUE)), {}, {})
        assert execution.occurrence_key == "invoice_overdue/5f0c/7"
        assert (execution.subject_type, execution.subject_id) == ("invoice", "5f0c")

    def test_what_comes_too_late_is_skipped_with_its_reason(self) -> None:
        [execution] = decide(matches(swept(late="a week late"), by=automation(OVERDUE)), {}, {})
        assert (execution.status, execution.reason) == (SKIPPED, "a week late")

    def test_what_waited_too_long_for_a_relay_is_skipped_with_its_reason(self) -> None:
        """A week of reminders once went out on the day the relay came back."""
        in_time, stale = swept(waited=timedelta(days=2)), swept(waited=timedelta(days=2, minutes=1))
        [execution] = decide(matches(in_time, by=automation(OVERDUE)), {}, {})
        assert execution.status is PENDING
        [execution] = decide(matches(stale, by=automation(OVERDUE)), {}, {})
        assert (execution.status, execution.reason) == (
            SKIPPED,
            "found 2881 minutes before a relay came to it; it is sent at most 2d late",
        )

    def test_its_subject_is_named_where_it_is_gone(self) -> None:
        paid = {"field": "invoice.status", "operator": "equals", "value": "sent"}
        [execution] = decide(matches(swept(), by=automation(OVERDUE, conditions=paid)), {}, {})
        assert execution.reason == "the invoice no longer exists"


class TestLateness:
    """What happened too long ago sets nothing off: a relay that comes back does not spam."""

    @pytest.mark.parametrize(
        ("waited", "decision"),
        [
            (timedelta(days=3), (PENDING, None)),
            (
                timedelta(days=3, minutes=1),
                (
                    SKIPPED,
                    "happened 4321 minutes before a relay came to it; it begins at most 3d late",
                ),
            ),
        ],
    )
    def test_three_days_unless_the_automation_says_otherwise(
        self, waited: timedelta, decision: tuple[ExecutionStatus, str | None]
    ) -> None:
        assert decisions(event(waited=waited)) == [decision]

    def test_each_automation_has_its_own_patience(self) -> None:
        an_hour = automation(start_within=timedelta(hours=1))
        late = event(waited=timedelta(minutes=61))
        assert decisions(late) == [RUNS]
        assert decisions(late, by=an_hour) == [
            (SKIPPED, "happened 61 minutes before a relay came to it; it begins at most 1h late")
        ]

    def test_what_a_sweep_found_keeps_its_own(self) -> None:
        patient = automation(OVERDUE, start_within=timedelta(days=365))
        [execution] = decide(matches(swept(waited=timedelta(days=3)), by=patient), {}, {})
        assert execution.status is SKIPPED
        [execution] = decide(matches(swept(), by=patient), {}, {})
        assert execution.good_until == NOW + OVERDUE_CATCH_UP

    def test_an_execution_that_cannot_begin_grows_as_old_as_that(self) -> None:
        an_hour = automation(start_within=timedelta(hours=1))
        [execution] = decide(matches(event(), by=an_hour), {}, {})
        assert execution.good_until == NOW + timedelta(hours=1)

    def test_what_came_too_late_does_not_use_up_the_window(self) -> None:
        late = event(waited=timedelta(days=4))
        assert [status for status, _ in decisions(late, event(at=1))] == [SKIPPED, PENDING]


class TestChains:
    """What an automation did sets off others, and never itself, however long the way round."""

    def test_an_automation_is_not_set_off_by_itself(self) -> None:
        assert decisions(event(chain=(10,))) == [
            (SKIPPED, "loop: set off by its own change (Automation 10 -> Automation 10)")
        ]

    def test_nor_by_what_it_set_off(self) -> None:
        names = {(OURS, UUID(int=11)): "Book a follow-up"}
        [execution] = decide(matches(event(chain=(10, 11))), {}, {}, names)
        assert execution.reason == (
            "loop: set off by its own change (Automation 10 -> Book a follow-up -> Automation 10)"
        )

    def test_an_automation_nobody_knows_the_name_of_is_named_by_its_id(self) -> None:
        names = {(THEIRS, UUID(int=11)): "Somebody else's"}
        [execution] = decide(matches(event(chain=(10, 11))), {}, {}, names)
        assert execution.reason is not None
        assert f"-> {UUID(int=11)} ->" in execution.reason

    def test_another_is_set_off_and_carries_the_chain_on(self) -> None:
        [execution] = decide(matches(event(chain=(11, 12))), {}, {})
        assert execution.status is PENDING
        assert execution.chain == (UUID(int=11), UUID(int=12))

    def test_a_chain_ends(self) -> None:
        longest = tuple(range(20, 20 + MAX_CHAIN))
        assert decisions(event(chain=longest[:-1])) == [RUNS]
        [(status, reason)] = decisions(event(chain=longest))
        assert status is SKIPPED
        assert reason is not None
        assert reason.startswith("chain too long: it ends after 5 automations (")
        assert reason.endswith("-> Automation 10)")

    def test_a_loop_is_called_one_also_where_it_repeats_what_ran(self) -> None:
        [_, (status, reason)] = decisions(event(), event(at=1, chain=(10,)))
        assert status is SKIPPED
        assert reason is not None
        assert reason.startswith("loop")

    def test_a_loop_does_not_use_up_the_window(self) -> None:
        assert [status for status, _ in decisions(event(chain=(10,)), event(at=1))] == [
            SKIPPED,
            PENDING,
        ]

    def test_an_automation_that_writes_what_stands_sets_nothing_off(self) -> None:
        assert decisions(event(before="completed", chain=(10,))) == []


class TestTheExecution:
    """An execution says what set it off."""

    def test_everything_known_about_a_match(self) -> None:
        completed = event("Completed")
        (execution,) = decide(matches(completed), {}, {})
        assert execution == NewExecution(
            id=execution.id,
            organization_id=OURS,
            automation_id=UUID(int=10),
            automation_version=3,
            occurrence_key=f"event/{completed.id}",
            subject_type="job",
            subject_id="J-1",
            trigger_type="job_completed",
            trigger_value="completed",
            trigger_data={
                "event_id": completed.id,
                "event_type": "job_status_changed",
                "job_id": "J-1",
                "before": "scheduled",
                "after": "Completed",
            },
            occurred_at=NOW,
            status=PENDING,
            reason=None,
            good_until=NOW + START_WITHIN,
        )

    def test_each_event_is_an_occurrence_of_its_own(self) -> None:
        decided = decide(matches(event(), event(at=60)), {}, {})
        assert len({execution.occurrence_key for execution in decided}) == 2
        assert len({execution.id for execution in decided}) == 2


class TestTheWindow:
    """Within thirty seconds, one per automation, subject and trigger value."""

    @pytest.mark.parametrize(
        ("seconds", "second"),
        [(0, DUPLICATE), (29.9, DUPLICATE), (29.999999, DUPLICATE), (30, RUNS), (30.1, RUNS)],
    )
    def test_two_events_of_one_batch(self, seconds: float, second: tuple[Any, Any]) -> None:
        assert decisions(event(), event(at=seconds)) == [RUNS, second]

    @pytest.mark.parametrize("direction", [1, -1])
    @pytest.mark.parametrize(
        ("seconds", "decision"), [(0, DUPLICATE), (29.9, DUPLICATE), (30, RUNS), (30.1, RUNS)]
    )
    def test_an_event_beside_one_that_ran_earlier(
        self, seconds: float, decision: tuple[Any, Any], direction: int
    ) -> None:
        """Two relays may work out of order, so the window is looked at both ways."""
        key = WindowKey(UUID(int=10), "J-1", "completed")
        ran = {key: [NOW - direction * timedelta(seconds=seconds)]}
        assert decisions(event(), ran=ran) == [decision]

    def test_a_window_is_not_cut_by_the_clock(self) -> None:
        """Epoch seconds divided by thirty let two events either side of a border pass."""
        border = NOW.replace(second=30)
        either_side = [(border - NOW).total_seconds() + offset for offset in (-0.1, 0.1)]
        assert decisions(*(event(at=at) for at in either_side)) == [RUNS, DUPLICATE]

    def test_a_duplicate_does_not_prolong_the_window(self) -> None:
        assert decisions(event(), event(at=20), event(at=40)) == [RUNS, DUPLICATE, RUNS]

    def test_every_repetition_is_recorded(self) -> None:
        assert decisions(*(event(at=at) for at in range(5))) == [RUNS] + [DUPLICATE] * 4

    def test_another_job_is_another_window(self) -> None:
        assert decisions(event(), event(job="J-2")) == [RUNS, RUNS]

    def test_another_automation_is_another_window(self) -> None:
        key = WindowKey(UUID(int=99), "J-1", "completed")
        assert decisions(event(), ran={key: [NOW]}) == [RUNS]

    def test_another_status_is_another_window(self) -> None:
        by = automation({"type": "job_status_changed"})
        assert decisions(event("a"), event("b", 1), by=by) == [RUNS, RUNS]

    def test_another_spelling_is_the_same_window(self) -> None:
        assert decisions(event("completed"), event("COMPLETED ", 1)) == [RUNS, DUPLICATE]

    def test_there_and_back_and_there_again_within_the_window(self) -> None:
        """A→B→A→B: the second B repeats the first, and the A between them is its own."""
        by = automation({"type": "job_status_changed"})
        there_and_back = [
            event("b", 0, before="a"),
            event("a", 5, before="b"),
            event("b", 10, before="a"),
        ]
        assert decisions(*there_and_back, by=by) == [RUNS, RUNS, DUPLICATE]

    def test_there_and_back_and_there_again_beyond_the_window(self) -> None:
        by = automation({"type": "job_status_changed", "to": "b"})
        there_and_back = [
            event("b", 0, before="a"),
            event("a", 20, before="b"),
            event("b", 31, before="a"),
        ]
        assert decisions(*there_and_back, by=by) == [RUNS, RUNS]

    def test_a_job_created_twice_under_one_id_is_one_within_the_window(self) -> None:
        by = automation({"type": "job_created"})
        created = [event(at=at, kind=EventType.JOB_CREATED) for at in (0, 1)]
        assert decisions(*created, by=by) == [RUNS, DUPLICATE]


class TestRewrites:
    """A status written again is recorded beside what it repeats, and sets nothing off."""

    def test_beside_the_change_it_repeats(self) -> None:
        assert decisions(event(), event(at=1, before="completed")) == [RUNS, DUPLICATE]

    def test_in_another_spelling(self) -> None:
        again = event("In-Progress", 1, before="in_progress")
        by = automation({"type": "job_status_changed", "to": "in progress"})
        assert decisions(event("in_progress"), again, by=by) == [RUNS, DUPLICATE]

    def test_alone_it_is_nothing(self) -> None:
        assert decisions(event(before="completed")) == []

    def test_after_the_window_it_is_nothing(self) -> None:
        assert decisions(event(), event(at=30, before="completed")) == [RUNS]

    def test_it_opens_no_window(self) -> None:
        assert decisions(event(before="completed"), event(at=1)) == [RUNS]

    def test_it_need_not_come_from_where_the_trigger_wants(self) -> None:
        by = automation({"type": "job_status_changed", "from": "scheduled", "to": "completed"})
        assert decisions(event(), event(at=1, before="completed"), by=by) == [RUNS, DUPLICATE]

    def test_no_status_written_over_no_status(self) -> None:
        by = automation({"type": "job_status_changed"})
        assert decisions(event(None, before=None), by=by) == []


class TestConditions:
    """What does not meet the conditions is skipped, with what was found."""

    LARGE = automation(conditions={"field": "job.total", "operator": "greater_than", "value": 1000})

    def decide_with(self, total: int | None, *events: Event) -> list[NewExecution]:
        known = {Subject(OURS, SubjectType.JOB, "J-1"): facts(job={"total": total})}
        return decide(matches(*events, by=self.LARGE), known, {})

    def test_met(self) -> None:
        (execution,) = self.decide_with(2000, event())
        assert execution.status is PENDING

    def test_not_met(self) -> None:
        (execution,) = self.decide_with(500, event())
        assert execution.status is SKIPPED
        assert execution.reason == ("conditions not met: job.total greater_than 1000 (it is '500')")

    def test_a_job_that_is_gone(self) -> None:
        (execution,) = decide(matches(event(), by=self.LARGE), {}, {})
        assert (execution.status, execution.reason) == (SKIPPED, "the job no longer exists")

    def test_anothers_job_of_the_same_name_is_not_ours(self) -> None:
        known = {Subject(THEIRS, SubjectType.JOB, "J-1"): facts(job={"total": 2000})}
        (execution,) = decide(matches(event(), by=self.LARGE), known, {})
        assert execution.reason == "the job no longer exists"

    def test_what_was_skipped_does_not_use_up_the_window(self) -> None:
        """Otherwise the real one, seconds later, would be called a duplicate."""
        reasons = [each.reason for each in self.decide_with(500, event(), event(at=1))]
        assert all(reason and reason.startswith("conditions not met") for reason in reasons)

    def test_a_duplicate_is_called_one_whatever_the_conditions_say(self) -> None:
        key = WindowKey(UUID(int=10), "J-1", "completed")
        (execution,) = decide(matches(event(), by=self.LARGE), {}, {key: [NOW]})
        assert execution.reason == "duplicate"


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["J-1", "J-2"]),
            st.sampled_from(["completed", "Completed", "scheduled"]),
            st.sampled_from(["completed", "scheduled", None]),
            st.integers(min_value=0, max_value=100),
        ),
        max_size=12,
    )
)
def test_no_two_of_what_runs_share_a_window(
    written: list[tuple[str, str, str | None, int]],
) -> None:
    by = automation({"type": "job_status_changed"})
    events = [
        event(after, at, before=before, job=job)
        for job, after, before, at in sorted(written, key=lambda each: each[3])
    ]
    decided = decide(matches(*events, by=by), {}, {})
    runs = [each for each in decided if each.status is PENDING]
    for one in runs:
        for other in runs:
            if one is not other and (one.subject_id, one.trigger_value) == (
                other.subject_id,
                other.trigger_value,
            ):
                assert abs(one.occurred_at - other.occurred_at) >= DUPLICATE_WINDOW
    for skipped in decided:
        assert skipped.status is PENDING or any(
            (skipped.subject_id, skipped.trigger_value) == (run.subject_id, run.trigger_value)
            and abs(skipped.occurred_at - run.occurred_at) < DUPLICATE_WINDOW
            for run in runs
        )
    changed = {each.id for each in events if not each.is_rewrite}
    assert changed <= {each.trigger_data["event_id"] for each in decided}
