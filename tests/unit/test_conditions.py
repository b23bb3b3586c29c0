"""Conditions decide over facts as people mean them, and say why when they do not hold."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fixlify.domain.conditions import AllOf, AnyOf, Check, Condition, NotOf, Operator
from fixlify.domain.facts import Facts
from tests.unit.sample_facts import facts

CONDITION: TypeAdapter[AllOf | AnyOf | NotOf | Check] = TypeAdapter(Condition)

TRUE: dict[str, Any] = {"field": "job.status", "operator": "equals", "value": "completed"}
FALSE: dict[str, Any] = {"field": "job.status", "operator": "equals", "value": "cancelled"}
START = datetime(2026, 11, 26, 16, 0, tzinfo=UTC)


def condition(data: dict[str, Any]) -> AllOf | AnyOf | NotOf | Check:
    return CONDITION.validate_python(data)


def check(field: str, operator: str, value: Any = None) -> Check:
    return Check.model_validate({"field": field, "operator": operator, "value": value})


def about(**job: Any) -> Facts:
    return facts(job=job)


class TestText:
    """Text is compared as statuses are: neither case nor separators matter."""

    @pytest.mark.parametrize(
        "spelling", ["in_progress", "In-Progress", "IN PROGRESS", " in  progress "]
    )
    def test_every_spelling_of_a_status_is_equal(self, spelling: str) -> None:
        assert check("job.status", "equals", "in-progress").holds(about(status=spelling))
        assert not check("job.status", "not_equals", "in-progress").holds(about(status=spelling))

    def test_different_words_differ(self) -> None:
        assert not check("job.status", "equals", "progress").holds(about(status="in_progress"))
        assert check("job.status", "not_equals", "progress").holds(about(status="in_progress"))

    def test_letters_without_ascii_are_compared_without_case_too(self) -> None:
        assert check("job.status", "equals", "ABGESCHLOSSEN GRÜN").holds(
            about(status="abgeschlossen-grün")
        )
        assert check("job.status", "equals", "strasse").holds(about(status="Straße"))

    @pytest.mark.parametrize(
        ("operator", "value"),
        [
            ("contains", "FAUCET rep"),
            ("contains", "faucet-repair"),
            ("starts_with", "kitchen_"),
            ("starts_with", "KITCHEN faucet"),
            ("ends_with", "Repair"),
            ("ends_with", "faucet-repair"),
        ],
    )
    def test_parts_of_a_text_are_found_whatever_their_spelling(
        self, operator: str, value: str
    ) -> None:
        assert check("job.title", operator, value).holds(about(title="Kitchen faucet repair"))

    @pytest.mark.parametrize(
        ("operator", "value"),
        [("contains", "sink"), ("starts_with", "faucet"), ("ends_with", "faucet")],
    )
    def test_parts_that_are_not_there_are_not_found(self, operator: str, value: str) -> None:
        assert not check("job.title", operator, value).holds(about(title="Kitchen faucet repair"))

    def test_a_separator_that_is_asked_for_must_be_there(self) -> None:
        assert not check("job.title", "ends_with", "-x").holds(about(title="Max"))
        assert check("job.title", "ends_with", "-x").holds(about(title="Model x"))

    def test_not_contains_is_the_opposite(self) -> None:
        assert check("job.title", "not_contains", "sink").holds(about())
        assert not check("job.title", "not_contains", "faucet").holds(about())

    def test_in_looks_for_one_of_several(self) -> None:
        assert check("job.job_type", "in", ["repair", "In Stallation"]).holds(
            about(job_type="in-stallation")
        )
        assert not check("job.job_type", "in", ["repair"]).holds(about(job_type="estimate"))
        assert check("job.job_type", "not_in", ["repair"]).holds(about(job_type="estimate"))
        assert not check("job.job_type", "not_in", ["repair"]).holds(about(job_type="Repair"))

    def test_a_number_written_for_a_text_field_is_its_digits(self) -> None:
        assert check("job.id", "equals", 2019).holds(about(id="2019"))


class TestEmptyFields:
    """An empty field equals nothing, is neither greater nor less, and contains nothing."""

    @pytest.mark.parametrize("empty", [None, ""])
    @pytest.mark.parametrize(
        ("operator", "value", "holds"),
        [
            ("equals", "x", False),
            ("equals", "", False),
            ("not_equals", "x", True),
            ("contains", "x", False),
            ("not_contains", "x", True),
            ("starts_with", "x", False),
            ("ends_with", "x", False),
            ("greater_than", "1", False),
            ("greater_than_or_equal", "1", False),
            ("less_than", "1", False),
            ("less_than_or_equal", "1", False),
            ("in", ["x", ""], False),
            ("not_in", ["x", ""], True),
            ("is_empty", None, True),
            ("is_not_empty", None, False),
        ],
    )
    def test_empty_text(self, empty: str | None, operator: str, value: Any, holds: bool) -> None:
        assert check("job.title", operator, value).holds(about(title=empty)) is holds

    @pytest.mark.parametrize("field", ["job.total", "job.schedule_start"])
    @pytest.mark.parametrize(
        "operator",
        ["greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal", "equals"],
    )
    def test_missing_numbers_and_dates_have_no_order(self, field: str, operator: str) -> None:
        value = 0 if field == "job.total" else "2026-01-01"
        assert not check(field, operator, value).holds(about(total=None, schedule_start=None))

    def test_zero_is_not_empty(self) -> None:
        assert check("job.total", "is_not_empty").holds(about(total=Decimal(0)))
        assert check("job.total", "less_than", 1).holds(about(total=Decimal(0)))

    def test_false_is_not_empty(self) -> None:
        assert check("client.sms_opted_out", "is_not_empty").holds(facts())

    @pytest.mark.parametrize("operator", [o for o in Operator if o is not Operator.IS_EMPTY])
    def test_a_part_that_is_missing_altogether_is_empty(self, operator: Operator) -> None:
        nobody = facts(technician=None)
        assert check("technician.name", "is_empty").holds(nobody)
        value = {Operator.IN: ["x"], Operator.NOT_IN: ["x"], Operator.IS_NOT_EMPTY: None}
        negative = operator in {Operator.NOT_EQUALS, Operator.NOT_CONTAINS, Operator.NOT_IN}
        asked = check("technician.name", operator, value.get(operator, "x"))
        assert asked.holds(nobody) is negative


class TestTags:
    """A list of tags equals and contains each of its tags, whole."""

    TAGGED = facts(client={"tags": ("VIP", "maintenance plan")})
    UNTAGGED = facts(client={"tags": ()})

    @pytest.mark.parametrize(
        ("operator", "value", "holds"),
        [
            ("contains", "vip", True),
            ("contains", "Maintenance-Plan", True),
            ("contains", "maintenance", False),
            ("not_contains", "vip", False),
            ("not_contains", "maintenance", True),
            ("equals", "vip", True),
            ("not_equals", "vip", False),
            ("in", ["gold", "vip"], True),
            ("in", ["gold"], False),
            ("not_in", ["gold"], True),
            ("starts_with", "maint", True),
            ("starts_with", "plan", False),
            ("ends_with", "plan", True),
            ("ends_with", "maintenance", False),
            ("greater_than", "a", False),
            ("is_empty", None, False),
            ("is_not_empty", None, True),
        ],
    )
    def test_tags(self, operator: str, value: Any, holds: bool) -> None:
        assert check("client.tags", operator, value).holds(self.TAGGED) is holds

    def test_no_tags_are_empty(self) -> None:
        assert check("client.tags", "is_empty").holds(self.UNTAGGED)
        assert not check("client.tags", "contains", "vip").holds(self.UNTAGGED)
        assert check("client.tags", "not_contains", "vip").holds(self.UNTAGGED)


class TestNumbers:
    """Amounts are compared exactly, however they are written."""

    @pytest.mark.parametrize("value", [100, 100.0, "100", "100.00", " 1E2 "])
    def test_every_way_to_write_a_hundred(self, value: Any) -> None:
        hundred = about(total=Decimal("100.00"))
        assert check("job.total", "equals", value).holds(hundred)
        assert check("job.total", "greater_than_or_equal", value).holds(hundred)
        assert check("job.total", "less_than_or_equal", value).holds(hundred)
        assert not check("job.total", "greater_than", value).holds(hundred)
        assert not check("job.total", "less_than", value).holds(hundred)

    def test_numbers_are_not_compared_as_text(self) -> None:
        assert check("job.total", "greater_than", "99").holds(about(total=Decimal(100)))

    def test_a_cent_more_is_more(self) -> None:
        assert check("job.total", "greater_than", 0.1).holds(about(total=Decimal("0.11")))
        assert check("job.total", "equals", 0.1).holds(about(total=Decimal("0.10")))

    @pytest.mark.parametrize(
        "operator",
        ["greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal", "equals"],
    )
    @pytest.mark.parametrize("value", ["a lot", "nan", "sNaN", "1,000", "$5", True])
    def test_what_is_no_number_is_never_greater_less_or_equal(
        self, operator: str, value: Any
    ) -> None:
        assert not check("job.total", operator, value).holds(about(total=Decimal(1)))

    @pytest.mark.parametrize(
        "value", [float("nan"), float("inf"), float("-inf"), [1, float("nan")]]
    )
    def test_a_value_must_be_a_finite_number(self, value: Any) -> None:
        operator = "in" if isinstance(value, list) else "equals"
        with pytest.raises(ValidationError, match="finite"):
            check("job.total", operator, value)


class TestDates:
    """Dates are instants: a date is its first moment, and without a zone it is UTC."""

    @pytest.mark.parametrize(
        "same",
        ["2026-11-26T16:00:00+00:00", "2026-11-26T11:00:00-05:00", "2026-11-26 16:00", START],
    )
    def test_every_way_to_write_an_instant(self, same: Any) -> None:
        assert check("job.schedule_start", "equals", same).holds(about(schedule_start=START))
        assert check("job.schedule_start", "less_than_or_equal", same).holds(
            about(schedule_start=START)
        )

    def test_the_machines_own_zone_plays_no_part(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "America/New_York")
        time.tzset()
        try:
            assert check("job.schedule_start", "equals", "2026-11-26 16:00").holds(about())
        finally:
            monkeypatch.undo()
            time.tzset()

    def test_before_and_after_a_date(self) -> None:
        assert check("job.schedule_start", "greater_than", "2026-11-26").holds(about())
        assert check("job.schedule_start", "less_than", "2026-11-27").holds(about())
        assert not check("job.schedule_start", "equals", "2026-11-26").holds(about())

    def test_what_is_no_date_is_never_before_or_after(self) -> None:
        for operator in ("greater_than", "less_than", "equals"):
            assert not check("job.schedule_start", operator, "tomorrow").holds(about())


class TestDays:
    """A date without a time is compared as a day."""

    @pytest.mark.parametrize(
        ("operator", "value", "holds"),
        [
            ("equals", "2026-11-12", True),
            ("equals", date(2026, 11, 12), True),
            ("equals", "2026-11-13", False),
            ("less_than", "2026-11-13", True),
            ("less_than", "2026-11-12", False),
            ("less_than_or_equal", "2026-11-12", True),
            ("greater_than", "2026-11-11", True),
            ("less_than", "2026-11-12T00:00:01Z", True),
            ("in", ["2026-01-01", "2026-11-12"], True),
            ("greater_than", "soon", False),
            ("is_empty", None, False),
        ],
    )
    def test_a_due_date(self, operator: str, value: Any, holds: bool) -> None:
        assert check("invoice.due_date", operator, value).holds(facts()) is holds

    def test_no_due_date(self) -> None:
        nothing = facts(invoice={"due_date": None})
        assert check("invoice.due_date", "is_empty").holds(nothing)
        assert not check("invoice.due_date", "less_than", "2030-01-01").holds(nothing)


class TestEvents:
    """What set the automation off has whatever keys it has."""

    EVENT = facts(event={"name": "review.submitted", "stars": 4.5, "public": True, "gone": None})

    @pytest.mark.parametrize(
        ("field", "operator", "value", "holds"),
        [
            ("event.name", "equals", "Review.Submitted", True),
            ("event.stars", "greater_than", 4, True),
            ("event.stars", "equals", "4.50", True),
            ("event.stars", "less_than", 4.5, False),
            ("event.public", "equals", True, True),
            ("event.public", "equals", "false", False),
            ("event.gone", "is_empty", None, True),
            ("event.reviewer", "is_empty", None, True),
            ("event.reviewer", "equals", "Ada", False),
            ("event.reviewer", "not_equals", "Ada", True),
            ("event.public", "greater_than", 0, False),
        ],
    )
    def test_comparisons(self, field: str, operator: str, value: Any, holds: bool) -> None:
        assert check(field, operator, value).holds(self.EVENT) is holds

    def test_a_failure_says_what_was_found(self) -> None:
        failed = check("event.stars", "less_than", 3).failures(self.EVENT)
        assert failed == ["event.stars less_than 3 (it is '4.5')"]

    @pytest.mark.parametrize("field", ["event", "event.", "event.Stars", "event.a.b", "event.1"])
    def test_what_can_be_no_key_is_refused(self, field: str) -> None:
        with pytest.raises(ValidationError, match=r"no event has|unknown field"):
            check(field, "is_empty")


class TestFlags:
    """Flags compare with true and false, as YAML or as text."""

    @pytest.mark.parametrize("value", [True, "true", "True"])
    def test_true(self, value: Any) -> None:
        assert check("client.sms_opted_out", "equals", value).holds(
            facts(client={"sms_opted_out": True})
        )
        assert not check("client.sms_opted_out", "equals", value).holds(facts())


class TestCombinations:
    """``all``, ``any`` and ``not`` nest as deep as people like."""

    def test_all_needs_every_part(self) -> None:
        assert condition({"all": [TRUE, TRUE]}).holds(facts())
        assert not condition({"all": [TRUE, FALSE]}).holds(facts())
        assert condition({"all": []}).holds(facts())

    def test_any_needs_one(self) -> None:
        assert condition({"any": [FALSE, TRUE]}).holds(facts())
        assert not condition({"any": [FALSE, FALSE]}).holds(facts())

    def test_any_of_nothing_is_refused(self) -> None:
        with pytest.raises(ValidationError):
            condition({"any": []})

    def test_not_turns_it_round(self) -> None:
        assert condition({"not": FALSE}).holds(facts())
        assert not condition({"not": {"all": [TRUE]}}).holds(facts())

    def test_two_words_at_once_are_refused(self) -> None:
        with pytest.raises(ValidationError):
            condition({"all": [TRUE], "any": [TRUE]})


class TestFailures:
    """A condition that does not hold says what it asked for and what it found."""

    def test_one_comparison(self) -> None:
        failed = check("job.status", "equals", "cancelled").failures(facts())
        assert failed == ["job.status equals 'cancelled' (it is 'completed')"]

    def test_an_empty_field(self) -> None:
        failed = check("job.job_type", "in", ["repair"]).failures(facts())
        assert failed == ["job.job_type in ['repair'] (it is empty)"]

    def test_tags_are_listed(self) -> None:
        failed = check("client.tags", "contains", "gold").failures(facts())
        assert failed == ["client.tags contains 'gold' (it is ['vip', 'maintenance plan'])"]

    def test_an_operator_without_value(self) -> None:
        assert check("job.title", "is_empty").failures(facts()) == [
            "job.title is_empty (it is 'Kitchen faucet repair')"
        ]

    def test_all_names_only_what_fails(self) -> None:
        both = condition({"all": [TRUE, FALSE]})
        assert both.failures(facts()) == ["job.status equals 'cancelled' (it is 'completed')"]

    def test_any_names_every_part_in_one_line(self) -> None:
        either = condition({"any": [FALSE, FALSE]})
        (line,) = either.failures(facts())
        assert line.startswith("none of: ")
        assert line.count("job.status equals") == 2

    def test_not_describes_what_held(self) -> None:
        inner = {"any": [TRUE, {"not": {"all": [TRUE]}}]}
        (line,) = condition({"not": inner}).failures(facts())
        assert line == ("not: job.status equals 'completed' or not (job.status equals 'completed')")


class TestRefused:
    """A comparison that could never work is refused when it is written."""

    @pytest.mark.parametrize("operator", ["is_empty", "is_not_empty"])
    def test_these_take_no_value(self, operator: str) -> None:
        with pytest.raises(ValidationError, match="takes no value"):
            check("job.title", operator, "x")

    @pytest.mark.parametrize(
        "operator", sorted(set(Operator) - {Operator.IS_EMPTY, Operator.IS_NOT_EMPTY})
    )
    def test_the_others_need_one(self, operator: str) -> None:
        with pytest.raises(ValidationError, match="needs a value"):
            check("job.title", operator)

    @pytest.mark.parametrize("operator", ["in", "not_in"])
    def test_lists_for_in_and_not_in(self, operator: str) -> None:
        with pytest.raises(ValidationError, match="needs a list"):
            check("job.title", operator, "x")

    def test_one_value_for_the_others(self) -> None:
        with pytest.raises(ValidationError, match="one value, not a list"):
            check("job.title", "equals", ["x"])

    def test_a_list_of_nothing(self) -> None:
        with pytest.raises(ValidationError, match="at least one"):
            check("job.title", "in", [])

    def test_a_field_nobody_has(self) -> None:
        with pytest.raises(ValidationError, match=r"did you mean 'job\.total'"):
            check("job.totl", "equals", 1)

    def test_the_names_of_the_replaced_system_mean_the_same(self) -> None:
        assert check("job_status", "is_empty").field == "job.status"
        assert check("client.firstName", "is_empty").field == "client.first_name"


FIELDS = [
    "job.status",
    "job.title",
    "job.total",
    "job.schedule_start",
    "client.tags",
    "client.sms_opted_out",
    "technician.name",
    "invoice.due_date",
    "invoice.balance",
    "invoice.days_overdue",
    "event.value",
]
VALUES = st.one_of(
    st.text(max_size=6),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.dates(),
    st.datetimes(),
    st.sampled_from(["vip", "completed", "nan", "-", "1"]),
)


@st.composite
def checks(draw: st.DrawFn) -> dict[str, Any]:
    operator = draw(st.sampled_from(Operator))
    written: dict[str, Any] = {"field": draw(st.sampled_from(FIELDS)), "operator": operator.value}
    if operator in {Operator.IN, Operator.NOT_IN}:
        written["value"] = draw(st.lists(VALUES, min_size=1, max_size=3))
    elif operator not in {Operator.IS_EMPTY, Operator.IS_NOT_EMPTY}:
        written["value"] = draw(VALUES)
    return written


CONDITIONS = st.recursive(
    checks(),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=5,
)
FACTS = st.builds(
    lambda status, title, total, start, tags, due, value, with_technician: facts(
        job={"status": status, "title": title, "total": total, "schedule_start": start},
        client={"tags": tuple(tags)},
        invoice={"due_date": due, "total": total},
        event={"value": value},
        **({} if with_technician else {"technician": None}),
    ),
    st.none() | st.text(max_size=6),
    st.none() | st.text(max_size=6),
    st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=2),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.lists(st.text(max_size=4), max_size=2),
    st.none() | st.dates(),
    st.none()
    | st.text(max_size=6)
    | st.integers()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)


@settings(deadline=None)
@given(CONDITIONS, FACTS)
def test_any_condition_over_any_facts_decides_and_explains(
    written: dict[str, Any], known: Facts
) -> None:
    """It never raises, has failures exactly when it does not hold, and survives storage."""
    asked = condition(written)
    holds = asked.holds(known)
    assert (asked.failures(known) == []) is holds
    assert condition({"not": {"not": written}}).holds(known) is holds
    assert condition({"not": written}).holds(known) is not holds
    stored = asked.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert condition(stored).holds(known) is holds
