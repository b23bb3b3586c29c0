"""Two companies in one database: one that attacks, and one of which only ids are known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fixlify.storage.database import Database
from fixlify.storage.tables import Table
from tests.office import Office

# Of no organization: every one is shown them, and none may write there.
OPERATORS: Final = {"channel_settings"}
TABLES: Final = sorted(set(Table.metadata.tables) - OPERATORS)
VIEWS: Final = ["automation_cron_status", "automation_system_health"]
# Some rows of these belong to no organization, and are shown to each.
SHARED: Final = ["automation_schedule_runs", "automation_schedules", "automation_stops"]
COUNTS: Final = (
    "executions",
    "completed",
    "failed",
    "skipped",
    "cancelled",
    "open",
    "emails_sent",
    "sms_sent",
    "messages_not_sent",
)
_EVERYTHING: Final = {"INSERT", "UPDATE", "DELETE"}
# What the app role may write; everything else it may only read.
WRITABLE: Final = {
    "profiles": _EVERYTHING,
    "clients": _EVERYTHING,
    "jobs": _EVERYTHING,
    "estimates": _EVERYTHING,
    "invoices": _EVERYTHING,
    "payments": _EVERYTHING,
    "tasks": _EVERYTHING,
    "inbound_messages": {"INSERT", "UPDATE"},
    "organizations": {"UPDATE"},
    "automation_workflows": {"INSERT", "UPDATE"},
    "automation_workflow_versions": {"INSERT"},
    "automation_stops": {"INSERT", "DELETE"},
    "api_keys": {"INSERT", "UPDATE"},
    "automation_rules": _EVERYTHING,
    "client_opt_outs": _EVERYTHING,
    "suppressions": _EVERYTHING,
    "webhook_settings": {"INSERT", "UPDATE"},
    "message_templates": {"INSERT"},
    "consent_records": {"INSERT"},
}
# Of these it reads some columns only: what a sweep found for others, and what signs webhooks.
PARTLY_READABLE: Final = {"automation_schedule_runs", "webhook_settings"}
# What the engine may write; of some tables single columns, which are not listed here.
ENGINE_WRITABLE: Final = {
    "automation_events": {"INSERT"},
    "automation_execution_logs": {"INSERT", "UPDATE"},
    "automation_step_logs": _EVERYTHING,
    "messages": {"INSERT", "UPDATE"},
    "automation_schedules": _EVERYTHING,
    "automation_schedule_runs": {"INSERT", "UPDATE"},
    "automation_analytics": _EVERYTHING,
    "automation_stops": {"INSERT", "DELETE"},
    "api_requests": {"INSERT", "DELETE"},
    "tasks": {"INSERT"},
    "automation_signals": _EVERYTHING,
    "automation_decisions": {"INSERT"},
    "automation_actions": _EVERYTHING,
    "client_opt_outs": _EVERYTHING,
    "suppressions": _EVERYTHING,
    "webhook_settings": {"INSERT", "UPDATE"},
    "webhook_deliveries": {"INSERT", "UPDATE"},
    "message_templates": {"INSERT"},
    "channel_settings": {"INSERT", "UPDATE"},
    "consent_records": {"INSERT"},
    "inbound_messages": {"INSERT"},
    "message_transitions": {"INSERT"},
}
# The fields that steps write, and nothing else of the business.
ENGINE_WRITES_COLUMNS: Final = {
    "clients": ["lead_source", "tags"],
    "estimates": ["status"],
    "invoices": ["status"],
    "jobs": ["description", "lead_source", "status", "tags"],
    "tasks": ["description", "status"],
}


def owner_of(table: str) -> str:
    """Return the column that says whose a row is."""
    return "id" if table == "organizations" else "organization_id"


@dataclass(frozen=True)
class Company:
    """One company with one row of everything, and the ids of those rows."""

    office: Office
    client: UUID
    technician: UUID
    job: str
    invoice: UUID
    automation: UUID
    execution: UUID

    @property
    def id(self) -> UUID:
        return self.office.organization_id


async def furnish(office: Office) -> Company:
    technician = await office.insert(
        "profiles", organization_id=office.organization_id, first_name="Sam", phone="+12125550199"
    )
    client = await office.add_client(email=f"{office.organization_id}@example.com")
    job = await office.add_job("J-1", client_id=client, technician_id=technician["id"])
    invoice = await office.add_invoice(client_id=client, job_id=job)
    await office.add_estimate(client_id=client, job_id=job)
    await office.add_payment(client_id=client, invoice_id=invoice)
    await office.add_task(client_id=client, job_id=job, assignee_id=technician["id"])
    await office.add_inbound_message(client_id=client)
    applied = await office.apply("""
        name: Thanks
        trigger: {type: job_completed}
        steps: [{type: send_sms, text: Thank you.}]
    """)
    automation = applied.automation.id
    execution = await office.insert(
        "automation_execution_logs",
        id=uuid4(),
        organization_id=office.organization_id,
        automation_id=automation,
        automation_version=1,
        occurrence_key="event/0",
        subject_type="job",
        subject_id=job,
        trigger_type="job_completed",
        trigger_value="completed",
        trigger_data=json.dumps({}),
        occurred_at="2026-11-26 12:00+00",
        status="running",
    )
    await office.insert(
        "automation_step_logs",
        execution_id=execution["id"],
        step_id="send_sms-1",
        organization_id=office.organization_id,
        position=1,
        kind="sms",
        status="completed",
    )
    await office.insert(
        "messages",
        id=uuid4(),
        organization_id=office.organization_id,
        execution_id=execution["id"],
        step_id="send_sms-1",
        channel="sms",
        recipient_kind="client",
        recipient="+12125550123",
        body_text="Thank you.",
        status="queued",
    )
    # The ledger's trigger enters the transition.
    await office.query(
        "UPDATE messages SET status = 'held' WHERE organization_id = %s", office.organization_id
    )
    await office.insert(
        "automation_analytics",
        organization_id=office.organization_id,
        automation_id=automation,
        date="2026-11-26",
        **dict.fromkeys(COUNTS, 0),
    )
    await office.insert(
        "api_keys",
        id=uuid4(),
        organization_id=office.organization_id,
        name="Website",
        prefix="fxl_",
        key_hash=f"hash of {office.organization_id}",
    )
    await office.insert(
        "api_requests",
        organization_id=office.organization_id,
        idempotency_key="order-7",
        request_hash="x",
        response="{}",
    )
    await decide(office, execution["id"])
    await protect(office, client)
    await schedule(office, office.organization_id)
    return Company(office, client, technician["id"], job, invoice, automation, execution["id"])


async def decide(office: Office, execution: UUID) -> None:
    """Enter what a run heard, decided and did, and that its company is to be told of it."""
    its = {"execution_id": execution, "organization_id": office.organization_id}
    await office.insert("automation_signals", **its, event_id=1)
    await office.insert("automation_decisions", **its, kind="held", detail="held until 08:00")
    await office.insert(
        "automation_actions", **its, step_id="tag", kind="update", status="completed"
    )
    await office.insert("webhook_deliveries", **its, id=uuid4())


async def protect(office: Office, client: UUID) -> None:
    """Enter the company's rules and templates, what a client does not want, and its webhooks."""
    its = {"organization_id": office.organization_id}
    await office.insert("automation_rules", **its, rules="{}")
    await office.insert(
        "client_opt_outs", **its, client_id=client, channel="email", source="the office"
    )
    await office.insert(
        "consent_records",
        **its,
        client_id=client,
        channel="email",
        wants=False,
        source="the office",
        said_at="2026-11-26 12:00+00",
    )
    await office.insert(
        "message_templates",
        **its,
        name="thanks",
        locale="",
        is_default=True,
        version=1,
        source="{}",
    )
    await office.insert(
        "suppressions",
        **its,
        channel="email",
        address=f"gone-{office.organization_id}@example.com",
        reason="it bounced",
        source="the office",
    )
    await office.insert(
        "webhook_settings",
        **its,
        secret=f"whsec_of-{office.organization_id}",
        failure_url=f"https://{office.organization_id}.example.com/",
    )


async def share(office: Office) -> None:
    """Enter what concerns every organization and belongs to none."""
    await schedule(office, None)


async def schedule(office: Office, organization_id: UUID | None) -> None:
    """Enter a schedule, a run of it, and a stop."""
    whose = organization_id or "everybody"
    await office.insert(
        "automation_schedules",
        id=f"schedule of {whose}",
        organization_id=organization_id,
        name=f"nightly of {whose}",
        schedule="0 2 * * *",
        time_zone="UTC",
        catch_up="no longer than an hour",
        specification="{}",
        content_hash="x",
    )
    await office.insert(
        "automation_schedule_runs",
        id=f"run of {whose}",
        schedule_id=f"schedule of {whose}",
        organization_id=organization_id,
        scheduled_at="2026-11-26 02:00+00",
        status="completed",
        looked_at=7,
        found=3,
    )
    await office.insert("automation_stops", organization_id=organization_id, reason="a drill")


async def snapshot(company: Company) -> dict[str, Any]:
    """Return every row of a company, as its owner sees it."""
    rows = {}
    for table in TABLES:
        rows[table] = await company.office.query(
            f"SELECT to_jsonb(t) AS row FROM {table} t WHERE {owner_of(table)} = %s ORDER BY 1",
            company.id,
        )
    return rows


@dataclass(frozen=True)
class Attacker:
    """Our SQL, as the app role; of *theirs* only ids are known."""

    database: Database
    ours: Company
    theirs: Company

    async def run(self, *statements: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run statements as our organization and commit; return the last one's rows."""
        known = {
            "a": self.theirs.id,
            "b": self.ours.id,
            "a_client": self.theirs.client,
            "a_technician": self.theirs.technician,
            "a_invoice": self.theirs.invoice,
            "a_automation": self.theirs.automation,
            "a_execution": self.theirs.execution,
        } | parameters
        async with self.database.organization(self.ours.id) as connection:
            for statement in statements:
                result = await connection.execute(text(statement), known)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    async def count(self, statement: str) -> int:
        """Run one statement that writes, and return how many rows it reached."""
        return len(await self.run(f"{statement} RETURNING 1 AS one"))


def refused(*, by: str) -> Any:
    """Expect Postgres to refuse with a message that contains *by*."""
    return pytest.raises(DBAPIError, match=by)
