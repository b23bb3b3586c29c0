"""Reading the facts about jobs, many in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.facts import Client, Facts, Job, Organization, Technician

Subject = tuple[UUID, str]
"""An organization's id and the id of one of its jobs."""

# Postgres keeps moments, amounts and lists that Python cannot: one such row must not cost its
# neighbours theirs. What cannot be read is empty; a consent nobody recorded is none.
READABLE: Final = "BETWEEN '0001-01-02' AND '9999-12-30'"
_TAGS: Final = "ARRAY(SELECT tag FROM unnest({}.tags) AS tag WHERE tag IS NOT NULL)"

# Every join repeats the organization: a row of one company never borrows another's people,
# whatever views stand in for the tables.
_JOB_FACTS = text(f"""
    SELECT
        o.id AS o_id, o.name AS o_name, o.email AS o_email, o.phone AS o_phone,
        o.website AS o_website, o.time_zone AS o_time_zone, o.locale AS o_locale,
        o.currency AS o_currency,
        j.id AS j_id, j.title AS j_title, j.description AS j_description,
        j.job_type AS j_job_type, j.status AS j_status, j.address AS j_address,
        CASE WHEN j.schedule_start {READABLE} THEN j.schedule_start END AS j_schedule_start,
        CASE WHEN j.schedule_end {READABLE} THEN j.schedule_end END AS j_schedule_end,
        CASE WHEN j.created_at {READABLE} THEN j.created_at END AS j_created_at,
        nullif(j.total, 'NaN') AS j_total,
        j.lead_source AS j_lead_source, {_TAGS.format("j")} AS j_tags,
        c.id AS c_id, c.first_name AS c_first_name, c.last_name AS c_last_name,
        c.company AS c_company, c.email AS c_email, c.phone AS c_phone,
        c.address AS c_address, c.time_zone AS c_time_zone, c.lead_source AS c_lead_source,
        {_TAGS.format("c")} AS c_tags,
        coalesce(c.email_opted_out, true) AS c_email_opted_out,
        coalesce(c.sms_opted_out, true) AS c_sms_opted_out,
        t.id AS t_id, t.first_name AS t_first_name, t.last_name AS t_last_name,
        t.email AS t_email, t.phone AS t_phone
    FROM unnest(CAST(:organizations AS uuid[]), CAST(:jobs AS text[]))
        AS subject (organization_id, job_id)
    JOIN jobs j ON j.organization_id = subject.organization_id AND j.id = subject.job_id
    JOIN organizations o ON o.id = j.organization_id
    LEFT JOIN clients c ON c.organization_id = j.organization_id AND c.id = j.client_id
    LEFT JOIN profiles t ON t.organization_id = j.organization_id AND t.id = j.technician_id
""")  # noqa: S608 - constants of this module


async def load_facts(
    connection: AsyncConnection, subjects: Iterable[Subject]
) -> Mapping[Subject, Facts]:
    """Return the facts of each subject; a job that is gone is missing from the result."""
    distinct = sorted(set(subjects))
    if not distinct:
        return {}
    rows = await connection.execute(
        _JOB_FACTS,
        {"organizations": [o for o, _ in distinct], "jobs": [job for _, job in distinct]},
    )
    return {(row["o_id"], row["j_id"]): _facts(row) for row in rows.mappings()}


def _facts(row: Mapping[Any, Any]) -> Facts:
    return Facts(
        organization=Organization.model_validate(_part(row, "o_")),
        job=Job.model_validate(_part(row, "j_")),
        client=Client.model_validate(_part(row, "c_")) if row["c_id"] else None,
        technician=Technician.model_validate(_part(row, "t_")) if row["t_id"] else None,
    )


def _part(row: Mapping[Any, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)
    }
