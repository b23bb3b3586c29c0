"""Reading the facts about many subjects, in one statement for each kind of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, get_args
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.events import SubjectType
from fixlify.domain.facts import PARTS, Facts, Subject

# Postgres keeps moments, amounts and lists that Python cannot: one such row must not cost its
# neighbours theirs. What cannot be read is empty; a consent nobody recorded is none.
READABLE: Final = "BETWEEN '0001-01-02' AND '9999-12-30'"
_AN_AMOUNT: Final = "BETWEEN -1e15 AND 1e15"

# Which column a fact is, where it is not the one of its name. Where nobody wrote what was paid,
# nothing was.
_COLUMNS: Final = {"invoice.amount_paid": "coalesce(invoice.amount_paid, 0)"}
_NO_COLUMN: Final = {"invoice.days_overdue"}


def _facts(*parts: str) -> str:
    """Return what to select: the links, and every fact of *parts* by its own name.

    In the statements below a table goes by the name of its part.
    """
    return "organization.links, " + ", ".join(
        f'{_readable(_COLUMNS.get(fact, fact), info.annotation)} AS "{fact}"'
        for part in ("organization", *parts)
        for name, info in PARTS[part].model_fields.items()
        if (fact := f"{part}.{name}") not in _NO_COLUMN
    )


def _readable(column: str, annotation: Any) -> str:
    types = {annotation, *get_args(annotation)}
    if types & {datetime, date}:
        return f"CASE WHEN {column} {READABLE} THEN {column} END"
    if Decimal in types:
        return f"CASE WHEN {column} {_AN_AMOUNT} THEN {column} END"
    if bool in types:
        return f"coalesce({column}, true)"
    if Ellipsis in types:
        return f"ARRAY(SELECT item FROM unnest({column}) AS item WHERE item IS NOT NULL)"  # noqa: S608
    return column


# Every join repeats the organization: a row of one company never borrows another's people,
# whatever views stand in for the tables. Whose client and technician it is must be answered as
# fixlify_people_of() answers it, which is asked again right before sending.
def _subjects(id_type: str) -> str:
    return f"""
        unnest(CAST(:organizations AS uuid[]), CAST(:ids AS {id_type}[]))
            WITH ORDINALITY AS subject (organization_id, id, place)
        JOIN organizations organization ON organization.id = subject.organization_id"""


def _its(part: str, table: str, id_: str) -> str:
    return (
        f"LEFT JOIN {table} {part}"
        f" ON {part}.organization_id = subject.organization_id AND {part}.id = {id_}"
    )


_JOB_FACTS = text(f"""
    SELECT subject.place, {_facts("job", "client", "technician")}
    FROM {_subjects("text")}
    JOIN jobs job ON job.organization_id = subject.organization_id AND job.id = subject.id
    {_its("client", "clients", "job.client_id")}
    {_its("technician", "profiles", "job.technician_id")}
""")  # noqa: S608 - constants of this module

_CLIENT_FACTS = text(f"""
    SELECT subject.place, {_facts("client")}
    FROM {_subjects("uuid")}
    JOIN clients client
      ON client.organization_id = subject.organization_id AND client.id = subject.id
""")  # noqa: S608

_ESTIMATE_FACTS = text(f"""
    SELECT subject.place, {_facts("estimate", "job", "client", "technician")}
    FROM {_subjects("uuid")}
    JOIN estimates estimate
      ON estimate.organization_id = subject.organization_id AND estimate.id = subject.id
    {_its("job", "jobs", "estimate.job_id")}
    {_its("client", "clients", "coalesce(estimate.client_id, job.client_id)")}
    {_its("technician", "profiles", "job.technician_id")}
""")  # noqa: S608

_INVOICE_FACTS = text(f"""
    SELECT subject.place, {_facts("invoice", "job", "client", "technician")}
    FROM {_subjects("uuid")}
    JOIN invoices invoice
      ON invoice.organization_id = subject.organization_id AND invoice.id = subject.id
    {_its("job", "jobs", "invoice.job_id")}
    {_its("client", "clients", "coalesce(invoice.client_id, job.client_id)")}
    {_its("technician", "profiles", "job.technician_id")}
""")  # noqa: S608

_PAYMENT_FACTS = text(f"""
    SELECT subject.place, {_facts("payment", "invoice", "job", "client", "technician")}
    FROM {_subjects("uuid")}
    JOIN payments payment
      ON payment.organization_id = subject.organization_id AND payment.id = subject.id
    {_its("invoice", "invoices", "payment.invoice_id")}
    {_its("job", "jobs", "invoice.job_id")}
    {_its("client", "clients", "coalesce(payment.client_id, invoice.client_id, job.client_id)")}
    {_its("technician", "profiles", "job.technician_id")}
""")  # noqa: S608

_TASK_FACTS = text(f"""
    SELECT subject.place, {_facts("task", "job", "client", "technician")}
    FROM {_subjects("uuid")}
    JOIN tasks task ON task.organization_id = subject.organization_id AND task.id = subject.id
    {_its("job", "jobs", "task.job_id")}
    {_its("client", "clients", "coalesce(task.client_id, job.client_id)")}
    {_its("technician", "profiles", "coalesce(task.assignee_id, job.technician_id)")}
""")  # noqa: S608

_SMS_FACTS = text(f"""
    SELECT subject.place, {_facts("sms", "client")}
    FROM {_subjects("uuid")}
    JOIN inbound_messages sms
      ON sms.organization_id = subject.organization_id AND sms.id = subject.id
    {_its("client", "clients", "sms.client_id")}
""")  # noqa: S608

_ORGANIZATION_FACTS = text(f"""
    SELECT subject.place, {_facts()}
    FROM {_subjects("text")}
""")  # noqa: S608

_STATEMENTS: Final[Mapping[SubjectType, TextClause]] = MappingProxyType(
    {
        SubjectType.ORGANIZATION: _ORGANIZATION_FACTS,
        SubjectType.CLIENT: _CLIENT_FACTS,
        SubjectType.JOB: _JOB_FACTS,
        SubjectType.ESTIMATE: _ESTIMATE_FACTS,
        SubjectType.INVOICE: _INVOICE_FACTS,
        SubjectType.PAYMENT: _PAYMENT_FACTS,
        SubjectType.TASK: _TASK_FACTS,
        SubjectType.SMS: _SMS_FACTS,
    }
)
_IDS_ARE_TEXT: Final = {SubjectType.ORGANIZATION, SubjectType.JOB}

_TRIGGER_DATA = text("""
    SELECT trigger_data FROM automation_execution_logs
    WHERE id = :id AND organization_id = :organization_id
""")


async def load_facts(
    connection: AsyncConnection, subjects: Iterable[Subject], now: datetime | None = None
) -> Mapping[Subject, Facts]:
    """Return the facts of each subject; one that is gone is missing from the result.

    Args:
        connection: Where to read.
        subjects: Whom to read about; an id that cannot be one is as good as gone.
        now: The moment that decides what is overdue, this one unless given.
    """
    asked: dict[SubjectType, list[Subject]] = {}
    for subject in dict.fromkeys(subjects):
        if subject.type in _IDS_ARE_TEXT or _is_uuid(subject.id):
            asked.setdefault(subject.type, []).append(subject)
    found: dict[Subject, Facts] = {}
    for subject_type, of_one_type in asked.items():
        rows = await connection.execute(
            _STATEMENTS[subject_type],
            {
                "organizations": [subject.organization_id for subject in of_one_type],
                "ids": [subject.id for subject in of_one_type],
            },
        )
        _, _, *facts = rows.keys()
        for place, links, *values in rows:
            found[of_one_type[place - 1]] = _known(facts, values, now).with_links(links)
    return found


async def load_trigger_data(
    connection: AsyncConnection, execution_id: UUID, organization_id: UUID
) -> Mapping[str, Any]:
    """Return what is kept of the event that led to an execution; empty where there is none."""
    data = await connection.scalar(
        _TRIGGER_DATA, {"id": execution_id, "organization_id": organization_id}
    )
    return data if isinstance(data, dict) else {}


def _known(names: Sequence[str], values: Sequence[Any], now: datetime | None) -> Facts:
    parts: dict[str, dict[str, Any]] = {}
    for fact, value in zip(names, values, strict=True):
        part, _, name = fact.partition(".")
        parts.setdefault(part, {})[name] = value
    facts = Facts.model_validate(
        {part: fields for part, fields in parts.items() if fields["id"] is not None}
    )
    if facts.invoice is None:
        return facts
    today = facts.organization.today(now or datetime.now(UTC))
    invoice = facts.invoice.model_copy(update={"days_overdue": facts.invoice.overdue_on(today)})
    return facts.model_copy(update={"invoice": invoice})


def _is_uuid(text_: str) -> bool:
    """Whether it is an id as Postgres writes one; Python alone takes more for one."""
    try:
        return str(UUID(text_)) == text_.casefold()
    except ValueError:
        return False
