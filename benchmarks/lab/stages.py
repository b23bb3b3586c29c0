"""Where the time of a run goes, by the moments that the database and the providers noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.lab.clock import monotonic_of
from benchmarks.lab.stack import Lab
from benchmarks.lab.stream import Write

STAGES: Final[Mapping[str, str]] = {
    "recorded": "the relay claimed the event, matched it and inserted the execution",
    "begun": "the relay committed, the workflow started and took its execution",
    "rendered": "both messages are written into the ledger",
    "claimed": "the later message is taken for sending",
    "accepted": "the later provider has said yes",
    "ended": "the outcome is recorded",
}
"""What each stage ends with, in their order; the first begins with the commit."""

# All of them are clock_timestamp() of the statement that wrote them, so none is later than its
# commit. messages.sending_at is not used: it is Temporal's clock, and before the claim.
_MOMENTS: Final = """
    SELECT e.subject_id,
           extract(epoch FROM e.created_at)::float8,
           extract(epoch FROM e.started_at)::float8,
           extract(epoch FROM max(m.created_at))::float8,
           extract(epoch FROM max(t.at))::float8,
           extract(epoch FROM e.completed_at)::float8
    FROM automation_execution_logs e
    JOIN messages m ON m.execution_id = e.id
    JOIN message_transitions t ON t.message_id = m.id AND t.to_status = 'sending'
    WHERE e.organization_id = %s AND e.subject_id = ANY(%s) AND e.completed_at IS NOT NULL
    GROUP BY e.id
"""


@dataclass(frozen=True, slots=True)
class Moments:
    """When each stage of one run ended, in seconds of ``time.monotonic``."""

    committed: float
    recorded: float
    begun: float
    rendered: float
    claimed: float
    accepted: float
    ended: float


def stage_medians(runs: Sequence[Moments]) -> dict[str, float]:
    """Return the median milliseconds of each stage of ``STAGES``.

    They do not add up to the median of the whole, as medians do not.
    """
    before = dict(zip(STAGES, ("committed", *STAGES), strict=False))
    return {
        stage: round(
            median(getattr(run, stage) - getattr(run, before[stage]) for run in runs) * 1000, 1
        )
        for stage in STAGES
    }


async def moments_of(lab: Lab, writes: Sequence[Write]) -> list[Moments]:
    """Return the moments of the runs that *writes*, in one company, set off and that ended."""
    subjects = [write.job.id for write in writes]
    cursor = await lab.connection.execute(_MOMENTS, (writes[0].job.organization_id, subjects))
    noted = {subject: moments async for subject, *moments in cursor}
    found = []
    for write in writes:
        accepted = lab.deliveries.both(write.job)
        if accepted is None or write.job.id not in noted:
            continue
        recorded, begun, rendered, claimed, ended = map(monotonic_of, noted[write.job.id])
        found.append(Moments(write.committed, recorded, begun, rendered, claimed, accepted, ended))
    return found
