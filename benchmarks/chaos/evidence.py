"""What a run of chaos leaves behind for whoever judges it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from temporalio.client import Client

from devstack.captured_email import CapturedEmail
from devstack.twilio_api import CapturedSms


@dataclass(frozen=True, slots=True)
class Change:
    """One business write: a job went from one status to another.

    ``at`` is the moment just before the write. Where ``certain`` is False the connection broke
    before the commit was confirmed: the database alone knows whether it happened.
    """

    organization_id: UUID
    job_id: str
    before: str
    after: str
    at: datetime
    certain: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing the monkey did, ``at`` seconds after the traffic began.

    ``kind`` is what the faults are counted by ('kill worker', 'stall postgres'); ``detail``
    says which one, and for how long. ``during_recovery`` tells that something else was still
    coming back.
    """

    at: float
    kind: str
    during_recovery: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was done, and everything that arrived at the far ends.

    ``url`` is the database's, as its owner. ``client`` is None where no Temporal was there.
    ``write_failures`` are business writes that failed although the database was there.
    ``fates`` says by recipient what its provider does, in the words of
    ``benchmarks.chaos.companies``: 'ordinary', 'drops the answer', 'refuses'. ``at_most_once``
    tells that email in doubt is not sent again.

    The database's own table ``chaos_job_changes`` (organization_id, job_id, before, after,
    by_engine, at) has what was committed of the changes, and the engine's own with them. Who
    opted out meanwhile, and when, is in ``client_opt_outs``.
    """

    seed: int
    url: str
    client: Client | None
    changes: Sequence[Change]
    faults: Sequence[Fault]
    emails: Sequence[CapturedEmail]
    texts: Sequence[CapturedSms]
    write_failures: Sequence[str]
    fates: Mapping[str, str]
    at_most_once: bool
