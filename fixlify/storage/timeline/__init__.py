"""Everything recorded about a client, a job or one run, for whoever asks why."""

from __future__ import annotations

from fixlify.storage.timeline.reading import listening_since, read_run, read_timeline
from fixlify.storage.timeline.recorded import (
    Action,
    ConsentChange,
    Decision,
    Delivery,
    Run,
    TakenStep,
    Timeline,
    Told,
)
from fixlify.storage.timeline.records import (
    KnownClient,
    find_clients,
    job_is_there,
    records_of_client,
    records_of_job,
)

__all__ = [
    "Action",
    "ConsentChange",
    "Decision",
    "Delivery",
    "KnownClient",
    "Run",
    "TakenStep",
    "Timeline",
    "Told",
    "find_clients",
    "job_is_there",
    "listening_since",
    "read_run",
    "read_timeline",
    "records_of_client",
    "records_of_job",
]
