"""Every trigger type is fired the way the world fires it, and ends in a delivered message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, get_args
from uuid import uuid4

import pytest
from httpx2 import ASGITransport, AsyncClient
from temporalio.client import Client

from devstack.mail import MailCatcher
from devstack.sms import SmsCatcher
from fixlify.domain import queues
from fixlify.domain.api_keys import key_hash, new_key
from fixlify.domain.sweeps import Sweep, SweepKind
from fixlify.domain.triggers import TRIGGERS_BY_EVENT, Trigger
from fixlify.storage.api_keys import create_api_key
from fixlify.storage.database import Database
from starter.http.app import build_app
from tests.engine import Engine, running_engine
from tests.office import Office
from workflows.sweep import SweepWorkflow

ZONE = "America/New_York"


@dataclass(frozen=True, slots=True)
class Fired:
    """How one trigger is set off: its keys, the rows before, and then SQL, a sweep or HTTP."""

    keys: str = ""
    before: tuple[str, ...] = ()
    by_sql: str | None = None
    by_sweep: SweepKind | None = None
    by_http: dict[str, Any] | None = None


FIRED = {
    "job_created": Fired(
        by_sql="INSERT INTO jobs (organization_id, client_id, id, status)"
        " SELECT organization_id, id, 'J-1', 'new' FROM clients"
    ),
    "job_status_changed": Fired("to: On-The-Way", by_sql="UPDATE jobs SET status = 'on the way'"),
    "job_completed": Fired(by_sql="UPDATE jobs SET status = 'Completed'"),
    "job_scheduled": Fired(by_sql="UPDATE jobs SET schedule_start = now() + interval '3 days'"),
    "job_tags_changed": Fired("added: VIP", by_sql="UPDATE jobs SET tags = '{vip}'"),
    "job_updated": Fired("fields: total", by_sql="UPDATE jobs SET total = 300"),
    "client_created": Fired(
        by_sql="INSERT INTO clients (organization_id, first_name, phone)"
        " SELECT id, 'Grace', '+12125550188' FROM organizations"
    ),
    "client_updated": Fired("fields: [address]", by_sql="UPDATE clients SET address = '1 Elm St'"),
    "client_tags_changed": Fired(
        "removed: prospect",
        before=("UPDATE clients SET tags = '{prospect}'",),
        by_sql="UPDATE clients SET tags = '{}'",
    ),
    "estimate_status_changed": Fired(
        "from: draft, to: sent", by_sql="UPDATE estimates SET status = 'sent'"
    ),
    "estimate_sent": Fired(by_sql="UPDATE estimates SET status = 'Sent'"),
    "estimate_accepted": Fired(by_sql="UPDATE estimates SET status = 'approved'"),
    "estimate_declined": Fired(by_sql="UPDATE estimates SET status = 'rejected'"),
    "invoice_sent": Fired(
        by_sql="INSERT INTO invoices (organization_id, client_id, status)"
        " SELECT organization_id, id, 'sent' FROM clients"
    ),
    "invoice_paid": Fired(by_sql="UPDATE invoices SET status = 'paid'"),
    "payment_received": Fired(
        "amount: {at_least: 100}, method: [Card]",
        by_sql="INSERT INTO payments (organization_id, invoice_id, amount, method)"
        " SELECT organization_id, id, 120, 'card' FROM invoices",
    ),
    "task_created": Fired(
        by_sql="INSERT INTO tasks (organization_id, client_id, title)"
        " SELECT organization_id, id, 'Call back' FROM clients"
    ),
    "task_completed": Fired(by_sql="UPDATE tasks SET status = 'done'"),
    "sms_received": Fired(
        "keywords: [reschedule]",
        by_sql="INSERT INTO inbound_messages (organization_id, client_id, body)"
        " SELECT organization_id, id, 'Can we Reschedule?' FROM clients",
    ),
    "custom": Fired("name: review.left", by_http={"name": "review.left"}),
    "scheduled": Fired(
        "frequency: daily, hour: 9, audience: clients", by_sweep=SweepKind.USER_SCHEDULE
    ),
    "invoice_overdue": Fired(
        "days: [3, 7]",
        before=(
            "UPDATE invoices SET status = 'sent', due_date ="
            f" (now() AT TIME ZONE '{ZONE}')::date - 7",
        ),
        by_sweep=SweepKind.OVERDUE_INVOICES,
    ),
    "maintenance_due": Fired(
        "months: 6, job_types: [repair]",
        before=(
            # By the company's calendar: across a change of the clocks UTC's may be a day ahead.
            "UPDATE jobs SET status = 'completed', completed_at ="
            f" (now() AT TIME ZONE '{ZONE}' - interval '6 months') AT TIME ZONE '{ZONE}'",
        ),
        by_sweep=SweepKind.MAINTENANCE_REMINDERS,
    ),
    "stale_job": Fired(
        "status: scheduled, days: 3",
        before=("UPDATE automation_events SET occurred_at = now() - interval '73 hours'",),
        by_sweep=SweepKind.AUTOMATION_TRIGGERS,
    ),
    "appointment_reminder": Fired(
        "before: 24h",
        before=(
            "UPDATE jobs SET schedule_start = now() + interval '23h 55m'",
            "UPDATE automation_events SET occurred_at = now() - interval '3 days'",
        ),
        by_sweep=SweepKind.AUTOMATION_TRIGGERS,
    ),
}


@pytest.fixture
async def engine(
    office: Office, temporal_client: Client, mail: MailCatcher, phone: SmsCatcher
) -> AsyncIterator[Engine]:
    async with running_engine(office, temporal_client, mail, phone) as engine:
        yield engine


@pytest.fixture
async def business(office: Office) -> Office:
    """A company with one client, and one of everything for that client."""
    client = await office.add_client(first_name="Ada")
    await office.add_job("J-0", client_id=client)
    await office.add_estimate(client_id=client, status="draft")
    await office.add_invoice(client_id=client, status="draft", total=120)
    await office.add_task(client_id=client, status="open")
    return office


def trigger_types() -> set[str]:
    members = get_args(get_args(Trigger)[0])
    return {member.model_fields["type"].default for member in members}


def test_every_trigger_type_is_fired_here() -> None:
    """The builder once offered triggers that nothing emitted."""
    assert set(FIRED) == trigger_types()
    assert {name for names in TRIGGERS_BY_EVENT.values() for name in names} == trigger_types()


@pytest.mark.parametrize("trigger", sorted(FIRED))
async def test_it_is_fired_and_delivers(
    trigger: str,
    business: Office,
    engine: Engine,
    app_database: Database,
    engine_database: Database,
    phone: SmsCatcher,
) -> None:
    how = FIRED[trigger]
    await listen(business, engine, trigger)
    if how.by_sql:
        await business.query(how.by_sql)
    elif how.by_sweep:
        await sweep(engine, business, how.by_sweep)
    else:
        await report(business, app_database, engine_database, how.by_http)
    executions = await engine.settled()

    assert [(e["trigger_type"], e["status"]) for e in executions] == [(trigger, "completed")]
    assert [message.body for message in phone.messages] == [
        "Dear Grace" if trigger == "client_created" else "Dear Ada"
    ]


@pytest.mark.parametrize("trigger", sorted(name for name in FIRED if FIRED[name].by_sweep))
async def test_a_second_sweep_finds_nothing_new(
    trigger: str, business: Office, engine: Engine
) -> None:
    how = FIRED[trigger]
    assert how.by_sweep is not None
    await listen(business, engine, trigger)
    for _ in range(3):
        await sweep(engine, business, how.by_sweep)
    assert len(await engine.settled()) == 1


async def listen(office: Office, engine: Engine, trigger: str) -> None:
    """Bring the world to where the trigger is about to be fired, and begin to listen."""
    how = FIRED[trigger]
    for statement in how.before:
        await office.query(statement)
    await engine.relay_everything()
    keys = f", {how.keys}" if how.keys else ""
    await office.apply(
        f"name: {trigger}\ntrigger: {{type: {trigger}{keys}}}\n"
        "steps: [{type: send_sms, text: 'Dear {{ client.first_name }}'}]"
    )


async def sweep(engine: Engine, office: Office, kind: SweepKind) -> None:
    """Do what a Temporal Schedule does: start one sweep; wait until it is done."""
    (automation,) = await office.query("SELECT id FROM automation_workflows")
    await engine.client.execute_workflow(
        SweepWorkflow.run,
        Sweep(
            schedule_id=f"{kind.value}/test",
            kind=kind,
            time_zone=ZONE,
            automation_id=automation["id"] if kind is SweepKind.USER_SCHEDULE else None,
        ),
        id=f"sweep/{kind.value}/{uuid4()}",
        task_queue=queues.AUTOMATIONS,
    )


async def report(
    office: Office, people: Database, engine: Database, event: dict[str, Any] | None
) -> None:
    """Report an event about the company's client, as another program does."""
    key = new_key()
    async with people.organization(office.organization_id) as connection:
        await create_api_key(
            connection, office.organization_id, "website", key.prefix, key_hash(key.text)
        )
    (client,) = await office.query("SELECT id FROM clients")
    transport = ASGITransport(build_app(engine, "600/minute"))
    async with AsyncClient(transport=transport, base_url="http://api") as http:
        answer = await http.post(
            "/api/v1/events",
            json={**(event or {}), "subject": {"type": "client", "id": str(client["id"])}},
            headers={"Authorization": f"Bearer {key.text}"},
        )
    assert answer.status_code == 202, answer.text
