"""The companies that chaos writes for: their automations, their rules, their difficult clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import yaml
from psycopg.types.json import Jsonb

from benchmarks.lab.companies import Company, Founder, Job
from fixlify.storage.database import Database, Role
from starter.definitions import apply_definitions, validate_definition

_THANKS: Final = """
name: Thanks
trigger: {type: job_completed}
steps:
  - {id: mail, type: send_email, subject: "{{ job.id }} is done", text: "Thank you!"}
  - {id: text, type: send_sms, text: "{{ job.id }} is done. {{ company.name }}"}
"""
_ON_THE_WAY: Final = """
name: On the way
trigger: {type: job_status_changed, to: [in_progress]}
steps:
  - {id: text, type: send_sms, text: "We come for {{ job.id }}. {{ company.name }}"}
"""
_CANCELLED: Final = """
name: Cancelled
message_class: urgent
trigger: {type: job_status_changed, to: [cancelled]}
steps:
  - {id: mail, type: send_email, subject: "{{ job.id }} is cancelled", text: "Until next time."}
"""
# It looks again after its wait: who is cancelled meanwhile hears nothing of it.
_AFTERWARDS: Final = """
name: Afterwards
trigger: {type: job_completed}
exit_when: {any: [{field: job.status, operator: equals, value: cancelled}]}
steps:
  - {id: pause, type: wait, for: 5s}
  - {id: mail, type: send_email, subject: "How was {{ job.id }}?", text: "Tell us."}
  - {id: text, type: send_sms, text: "How was {{ job.id }}? {{ company.name }}"}
"""
# Two that would set each other off for ever.
_ORDER_PARTS: Final = """
name: Order parts
trigger: {type: job_status_changed, to: [on_hold]}
steps:
  - {id: order, type: update_record, set: {status: waiting_for_parts}}
  - {id: text, type: send_sms, text: "{{ job.id }} waits for parts. {{ company.name }}"}
"""
_ASK_FOR_PARTS: Final = """
name: Ask for parts
trigger: {type: job_status_changed, to: [waiting_for_parts]}
steps:
  - {id: hold, type: update_record, set: {status: on_hold}}
  - {id: mail, type: send_email, subject: "{{ job.id }} is on hold", text: "We ask."}
"""

JOBS: Final = 60
# Everybody's whom the laboratory founds.
_ZONE: Final = ZoneInfo("America/New_York")
LOOPS: Final = frozenset({"on_hold", "waiting_for_parts"})
"""Statuses that an automation answers by writing another one."""

# Beside the statuses of jobs as we and the engine know them: what was committed, by a trigger of
# the company's own. Nobody but Postgres has to be believed about a write whose answer was lost.
_JOB_CHANGES: Final = """
CREATE TABLE chaos_job_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id uuid NOT NULL,
    job_id text NOT NULL,
    before text,
    after text,
    by_engine boolean NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION chaos_note_job() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.chaos_job_changes (organization_id, job_id, before, after, by_engine)
    VALUES (NEW.organization_id, NEW.id, OLD.status, NEW.status,
            current_setting('role') = 'fixlify_engine');
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_job_noted AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION chaos_note_job();
"""

# What the mailbox and the phone do to these is written at the head of devstack/mail.py and in
# devstack/sms_fates.py. An address that is never taken would be tried for hours: none of those.
EMAIL_FATES: Final[Mapping[str, str]] = {
    "once-451": "refuses once",
    "once-450": "refuses once",
    "once-421": "refuses once",
    "fail-550": "refuses",
    "data-554": "refuses",
    "drop-after-data": "drops the answer",
    "slow": "slow",
}
"""Local parts of addresses whose mail server misbehaves, and what evidence calls it."""
PHONE_FATES: Final[Mapping[str, str]] = {
    "+15005550002": "refuses",
    "+15005550004": "opted out",
    "+15005550009": "refuses",
    "+15005550023": "drops the answer",
    "+15005550025": "drops the answer",
    "+15005550024": "slow",
    "+15005554291": "refuses once",
    "+15005555001": "refuses once",
    "+15005555031": "refuses once",
    "+15005553003": "undelivered",
    "+15005553010": "repeats reports",
    "+15005553011": "reorders reports",
    "+15005553012": "reports early",
}
"""Numbers whose texts fare badly, and what evidence calls it."""
ORDINARY: Final = "ordinary"


@dataclass(frozen=True, slots=True)
class Companies:
    """Everybody there is, and what is special about whom.

    ``quiet`` is in its quiet hours all along; ``stopped`` is stopped for a while; ``loops`` has
    automations that update the job they are about. ``fates`` says by recipient what its
    provider does.
    """

    everyone: Sequence[Company]
    quiet: Company
    stopped: Company
    loops: Company
    fates: Mapping[str, str]


async def found_companies(connection: psycopg.AsyncConnection[Any], url: str) -> Companies:
    """Enter the companies through *connection*, the owner's, which commits each statement."""
    await connection.execute(_JOB_CHANGES.encode())
    founder = Founder(connection, url)
    everyone = []
    for name, automations in (
        ("Plain", (_THANKS, _ON_THE_WAY, _CANCELLED)),
        ("Patient", (_AFTERWARDS, _ON_THE_WAY, _CANCELLED)),
        ("Busy", (_THANKS, _ORDER_PARTS, _ASK_FOR_PARTS)),
        ("Quiet", (_THANKS, _CANCELLED)),
        ("Halting", (_THANKS, _ON_THE_WAY, _CANCELLED)),
    ):
        company = await founder.found(JOBS, automation=None, name=name)
        company = replace(company, jobs=await _with_difficult_clients(connection, company))
        await _apply(url, company.organization_id, automations)
        everyone.append(company)
    plain, patient, busy, quiet, halting = everyone
    await connection.execute(
        "INSERT INTO automation_rules (organization_id, rules) VALUES (%s, %s)",
        (quiet.organization_id, Jsonb({"quiet_hours": quiet_hours(datetime.now(UTC))})),
    )
    return Companies(
        everyone=[plain, patient, busy, quiet, halting],
        quiet=quiet,
        stopped=halting,
        loops=busy,
        fates={who: fate for company in everyone for who, fate in _fates(company)},
    )


def quiet_hours(now: datetime) -> str:
    """Return quiet hours that *now* is in the middle of.

    Clients have no time zone of their own here, so the hours are read in their company's.
    """
    local = now.astimezone(_ZONE)
    begin, end = local - timedelta(hours=8), local + timedelta(hours=8)
    return f"{begin:%H:%M}-{end:%H:%M}"


async def _apply(url: str, organization_id: UUID, automations: Sequence[str]) -> None:
    database = Database(url, Role.APP, pool_size=2)
    try:
        pinned = [validate_definition("chaos", yaml.safe_load(each)) for each in automations]
        await apply_definitions(database, organization_id, pinned)
    finally:
        await database.close()


async def _with_difficult_clients(
    connection: psycopg.AsyncConnection[Any], company: Company
) -> list[Job]:
    """Give some of the clients addresses that misbehave; return all jobs as they are then."""
    jobs = list(company.jobs)
    domain = jobs[0].email.partition("@")[2]
    emails = [f"{fate}+{n}@{domain}" for n, fate in enumerate(EMAIL_FATES)]
    # The last ones: the first are as often written about, and easier to read in a log.
    for place, email in enumerate(emails, start=1):
        jobs[-place] = replace(jobs[-place], email=email)
    for place, phone in enumerate(PHONE_FATES, start=len(emails) + 1):
        jobs[-place] = replace(jobs[-place], phone=phone)
    for job in jobs[-len(emails) - len(PHONE_FATES) :]:
        await connection.execute(
            "UPDATE clients SET email = %s, phone = %s FROM jobs WHERE jobs.client_id = clients.id"
            " AND jobs.organization_id = %s AND jobs.id = %s",
            (job.email, job.phone, job.organization_id, job.id),
        )
    return jobs


def _fates(company: Company) -> Iterator[tuple[str, str]]:
    for job in company.jobs:
        yield job.email, EMAIL_FATES.get(job.email.partition("+")[0], ORDINARY)
        yield job.phone, PHONE_FATES.get(job.phone, ORDINARY)
