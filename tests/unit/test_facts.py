"""Facts work out what no column says, and take of an event what people can make sense of."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from fixlify.domain.facts import ORIGIN_ALIASES, PARTS, Facts, fact_names, is_event_field
from tests.unit.sample_facts import INVOICE, ORGANIZATION, facts

TODAY = date(2026, 11, 21)


def test_every_part_of_the_facts_has_its_names() -> None:
    assert {*PARTS, "event"} == set(Facts.model_fields)
    assert {name.partition(".")[0] for name in fact_names()} == set(PARTS)
    assert {"client.name", "invoice.balance", "task.due_at"} <= fact_names()


def test_every_name_of_the_replaced_system_means_something() -> None:
    assert set(ORIGIN_ALIASES.values()) <= fact_names()
    assert not set(ORIGIN_ALIASES) & fact_names()


class TestInvoices:
    """What is still to be paid, and since when."""

    @pytest.mark.parametrize(
        ("total", "paid", "balance"),
        [
            (Decimal(100), Decimal("0.5"), Decimal("99.5")),
            (Decimal(100), Decimal(120), Decimal(-20)),
            (None, Decimal(0), None),
            (Decimal(100), None, None),
        ],
    )
    def test_the_balance(
        self, total: Decimal | None, paid: Decimal | None, balance: Decimal | None
    ) -> None:
        assert INVOICE.model_copy(update={"total": total, "amount_paid": paid}).balance == balance

    @pytest.mark.parametrize(
        ("changes", "days"),
        [
            ({"due_date": date(2026, 11, 20)}, 1),
            ({"due_date": date(2025, 11, 21)}, 365),
            ({"due_date": TODAY}, None),
            ({"due_date": date(2026, 11, 22)}, None),
            ({"due_date": None}, None),
            ({"due_date": date(2026, 11, 20), "total": None}, 1),
            ({"due_date": date(2026, 11, 20), "amount_paid": Decimal("1250.5")}, None),
        ],
    )
    def test_days_overdue(self, changes: dict[str, Any], days: int | None) -> None:
        assert INVOICE.model_copy(update=changes).overdue_on(TODAY) == days


@pytest.mark.parametrize(
    ("zone", "today"),
    [
        ("America/Chicago", date(2026, 11, 20)),
        ("Asia/Tokyo", date(2026, 11, 21)),
        ("Mars/Base", date(2026, 11, 21)),
        ("", date(2026, 11, 21)),
        ("../etc/passwd", date(2026, 11, 21)),
    ],
)
def test_today_is_the_companys_own(zone: str, today: date) -> None:
    """An unknown zone costs nobody their facts: UTC stands in."""
    company = ORGANIZATION.model_copy(update={"time_zone": zone})
    assert company.today(datetime(2026, 11, 21, 3, 0, tzinfo=UTC)) == today


class TestEvents:
    """Conditions see the event's data, messages the execution's; both read the same."""

    @pytest.mark.parametrize(
        ("data", "event"),
        [
            (
                {"before": "sent", "after": "paid", "event_id": 7, "event_type": "x"},
                {"before": "sent", "after": "paid"},
            ),
            ({"job_id": "J-1", "added": ["vip"], "days": 7}, {"days": 7}),
            (
                {"name": "review.submitted", "data": {"stars": 4.5, "event_id": "theirs"}},
                {"name": "review.submitted", "stars": 4.5, "event_id": "theirs"},
            ),
            (
                {"name": "review.submitted", "data": {"name": "Ada", "tags": ["x"], "a": {}}},
                {"name": "review.submitted"},
            ),
            (
                {"name": "x", "data": {"Key": 1, "ok": None, "": 2, "k" * 64: 3}},
                {"name": "x", "ok": None},
            ),
            ({"amount": float("inf"), "data": "text"}, {"data": "text"}),
            ({}, {}),
        ],
    )
    def test_what_is_taken_of_an_events_data(
        self, data: dict[str, Any], event: dict[str, Any]
    ) -> None:
        known = facts().with_event(data)
        assert dict(known.event) == event
        for key, value in event.items():
            assert known.lookup(f"event.{key}") == value

    def test_the_other_facts_stay(self) -> None:
        assert facts().with_event({"days": 3}).invoice == facts().invoice

    @pytest.mark.parametrize("field", ["event.a", "event.a1_b", "event." + "k" * 63])
    def test_a_key(self, field: str) -> None:
        assert is_event_field(field)

    @pytest.mark.parametrize(
        "field", ["event", "event.", "event.A", "event.1", "event.a.b", "event.a\n", "job.a", "a"]
    )
    def test_no_key(self, field: str) -> None:
        assert not is_event_field(field)
