"""Estimates and invoices are recorded wherever they stand, payments as they come in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.office import Office
from tests.recorded import changes, kinds, recorded, times_fired

ESTIMATE = "estimate_status_changed"
INVOICE = "invoice_status_changed"


async def write(office: Office, table: str, status: str | None) -> None:
    await office.query(
        f"UPDATE {table} SET status = %s WHERE organization_id = %s", status, office.organization_id
    )


class TestEstimates:
    """What counts is the status, also of an estimate that is entered with one."""

    async def test_each_step_of_an_estimate(self, office: Office) -> None:
        estimate = await office.add_estimate()
        for status in ("sent", None, "Accepted"):
            await write(office, "estimates", status)
        assert await changes(office, ESTIMATE) == [
            (None, "draft"),
            ("draft", "sent"),
            ("sent", None),
            (None, "Accepted"),
        ]
        last = (await office.events())[-1]
        assert (last["subject_type"], last["subject_id"]) == ("estimate", str(estimate))
        assert last["organization_id"] == office.organization_id
        assert await times_fired(office, "estimate_sent") == 1
        assert await times_fired(office, "estimate_accepted") == 1
        assert await times_fired(office, "estimate_declined") == 0
        assert await times_fired(office, "estimate_status_changed") == 4
        assert await times_fired(office, "estimate_status_changed", to="accepted") == 1
        assert await times_fired(office, "estimate_status_changed", **{"from": "draft"}) == 1
        assert await times_fired(office, "estimate_status_changed", **{"from": "sent"}, to="x") == 0

    @pytest.mark.parametrize(
        ("status", "trigger"),
        [
            ("sent", "estimate_sent"),
            ("Sent", "estimate_sent"),
            ("accepted", "estimate_accepted"),
            ("approved", "estimate_accepted"),
            ("declined", "estimate_declined"),
            ("rejected", "estimate_declined"),
        ],
    )
    async def test_an_estimate_that_is_entered_with_its_status(
        self, office: Office, status: str, trigger: str
    ) -> None:
        await office.add_estimate(status=status)
        everything = ("estimate_sent", "estimate_accepted", "estimate_declined")
        fired = {each: await times_fired(office, each) for each in everything}
        assert fired == {each: int(each == trigger) for each in everything}

    @pytest.mark.parametrize(
        ("first", "second", "trigger"),
        [
            ("approved", "accepted", "estimate_accepted"),
            ("accepted", "Approved", "estimate_accepted"),
            ("rejected", "declined", "estimate_declined"),
        ],
    )
    async def test_another_word_for_the_same_is_no_news(
        self, office: Office, first: str, second: str, trigger: str
    ) -> None:
        await office.add_estimate(status="sent")
        await write(office, "estimates", first)
        await write(office, "estimates", second)
        assert await times_fired(office, trigger) == 1
        assert await times_fired(office, "estimate_status_changed", to=second) == 1

    async def test_a_change_of_mind_is_news(self, office: Office) -> None:
        await office.add_estimate(status="approved")
        for status in ("declined", "accepted"):
            await write(office, "estimates", status)
        assert await times_fired(office, "estimate_accepted") == 2
        assert await times_fired(office, "estimate_declined") == 1

    async def test_an_estimate_without_a_status(self, office: Office) -> None:
        await office.add_estimate(status=None)
        await write(office, "estimates", None)
        await office.query("UPDATE estimates SET total = 5, title = 'x'")
        assert await kinds(office) == ["client_created"]

    async def test_the_same_status_written_again(self, office: Office) -> None:
        await office.add_estimate(status="sent")
        await write(office, "estimates", "sent")
        assert await changes(office, ESTIMATE) == [(None, "sent")]

    async def test_another_spelling_is_recorded_and_sets_nothing_off(self, office: Office) -> None:
        await office.add_estimate(status="sent")
        await write(office, "estimates", "SENT")
        assert await changes(office, ESTIMATE) == [(None, "sent"), ("sent", "SENT")]
        assert await times_fired(office, "estimate_sent") == 1
        assert await times_fired(office, "estimate_status_changed") == 1


class TestInvoices:
    """Sent and paid are what the status says."""

    async def test_an_invoice_is_sent_and_paid(self, office: Office) -> None:
        invoice = await office.add_invoice()
        await write(office, "invoices", "sent")
        await write(office, "invoices", "Paid")
        assert await changes(office, INVOICE) == [
            (None, "draft"),
            ("draft", "sent"),
            ("sent", "Paid"),
        ]
        last = (await office.events())[-1]
        assert (last["subject_type"], last["subject_id"]) == ("invoice", str(invoice))
        assert await times_fired(office, "invoice_sent") == 1
        assert await times_fired(office, "invoice_paid") == 1

    async def test_an_invoice_that_is_entered_as_sent(self, office: Office) -> None:
        await office.add_invoice(status="sent")
        assert await times_fired(office, "invoice_sent") == 1
        assert await times_fired(office, "invoice_paid") == 0

    async def test_paid_in_full_is_paid(self, office: Office) -> None:
        await office.add_invoice(status="sent")
        await write(office, "invoices", "Paid in full")
        await write(office, "invoices", "paid")
        assert await times_fired(office, "invoice_paid") == 1

    async def test_the_amount_paid_is_not_the_status(self, office: Office) -> None:
        await office.add_invoice(status="sent")
        await office.query("UPDATE invoices SET amount_paid = total, due_date = '2020-01-01'")
        assert await changes(office, INVOICE) == [(None, "sent")]

    async def test_ten_thousand_invoices_at_once(self, office: Office) -> None:
        await office.query(
            "INSERT INTO invoices (organization_id, status) "
            "SELECT %s, 'draft' FROM generate_series(1, 10000)",
            office.organization_id,
        )
        await write(office, "invoices", "sent")
        assert await times_fired(office, "invoice_sent") == 10_000


class TestPayments:
    """Each payment once, when it is entered."""

    async def test_a_payment(self, office: Office) -> None:
        payment = await office.add_payment(amount="99.90", method="Bank transfer")
        event = (await office.events())[-1]
        assert (event["event_type"], event["subject_type"]) == ("payment_received", "payment")
        assert event["subject_id"] == str(payment)
        assert event["data"] == {"amount": 99.9, "method": "Bank transfer"}
        assert await times_fired(office, "payment_received") == 1

    @pytest.mark.parametrize(
        ("filters", "fired"),
        [
            ({"method": "bank-transfer"}, 1),
            ({"method": ["cash", "Bank_Transfer"]}, 1),
            ({"method": "cash"}, 0),
            ({"amount": {"at_least": 100}}, 1),
            ({"amount": {"at_least": "100.00", "at_most": 100}}, 1),
            ({"amount": {"at_most": "99.99"}}, 0),
            ({"amount": {"at_least": "100.01"}}, 0),
            ({"amount": {"at_least": 50}, "method": "bank transfer"}, 1),
            ({"amount": {"at_least": 50}, "method": "cash"}, 0),
        ],
    )
    async def test_amount_and_method_narrow_it(
        self, office: Office, filters: dict[str, Any], fired: int
    ) -> None:
        await office.add_payment(amount=100, method="Bank transfer")
        assert await times_fired(office, "payment_received", **filters) == fired

    @pytest.mark.parametrize("amount", [None, "NaN"])
    async def test_an_amount_that_is_none_is_in_no_range(
        self, office: Office, amount: str | None
    ) -> None:
        await office.add_payment(amount=amount, method=None)
        assert await times_fired(office, "payment_received") == 1
        assert await times_fired(office, "payment_received", amount={"at_least": -1}) == 0
        assert await times_fired(office, "payment_received", method="card") == 0

    async def test_a_corrected_payment_is_no_other_payment(self, office: Office) -> None:
        await office.add_payment()
        await office.query("UPDATE payments SET amount = 1, method = 'cash'")
        assert len(await recorded(office, "payment_received")) == 1
