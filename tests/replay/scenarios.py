"""Runs worth keeping: one per branch of each workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

_BOTH = """
name: Both
trigger: {type: job_completed}
steps:
  - {id: mail, type: send_email, subject: "Done: {{ job.title }}", text: "Thank you!"}
  - {id: text, type: send_sms, text: "{{ job.title }} is done."}
"""

_WITH_WAIT = """
name: Text, wait, mail
trigger: {type: job_completed}
steps:
  - {id: text, type: send_sms, text: "{{ job.title }} is done."}
  - {id: cool-down, type: wait, for: WAIT}
  - {id: mail, type: send_email, subject: "How was it?", text: "Tell us."}
"""

# Long enough for the stop to be there before the messages.
_WAIT_THEN_BOTH = """
name: Wait, then both
trigger: {type: job_completed}
steps:
  - {id: cool-down, type: wait, for: 2s}
  - {id: mail, type: send_email, subject: "How was it?", text: "Tell us."}
  - {id: text, type: send_sms, text: "{{ job.title }} is done."}
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run: the automation, the client it concerns, and what is done to it.

    A *stopped* one meets a stop at its messages, which is lifted unless the run is cancelled.
    """

    automation: str
    expected_status: str
    client: Mapping[str, Any] = field(default_factory=dict)
    cancel_while_waiting: bool = False
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class SweepScenario:
    """One run of the daily sweep of overdue invoices: what is wrong while it runs, and its end.

    ``broken`` and ``mended`` are SQL; a run is cancelled, or mended, once it was tried in vain.
    No worker is as fast as the shortest ``catch_up``.
    """

    expected_status: str
    time_zone: str = "America/New_York"
    catch_up: timedelta | None = None
    broken: str | None = None
    mended: str | None = None


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "both-sent": Scenario(_BOTH, "completed"),
        "wait-between": Scenario(_WITH_WAIT.replace("WAIT", "1s"), "completed"),
        "temporary-refusal-then-sent": Scenario(
            _BOTH, "completed", {"email": "once-451+ada@example.com"}
        ),
        "permanent-refusal": Scenario(_BOTH, "failed", {"email": "fail-550+ada@example.com"}),
        "outcome-unknown": Scenario(_BOTH, "failed", {"email": "drop-after-data+ada@example.com"}),
        "no-address": Scenario(_BOTH, "failed", {"email": None}),
        "opted-out-of-both": Scenario(
            _BOTH, "skipped", {"email_opted_out": True, "sms_opted_out": True}
        ),
        "cancelled-while-waiting": Scenario(
            _WITH_WAIT.replace("WAIT", "2d"), "cancelled", cancel_while_waiting=True
        ),
        "held-then-released": Scenario(_WAIT_THEN_BOTH, "completed", stopped=True),
        "cancelled-while-held": Scenario(
            _WAIT_THEN_BOTH, "cancelled", cancel_while_waiting=True, stopped=True
        ),
        # The same since the first try of a message is made as soon as it is written.
        "tried-at-once": Scenario(_BOTH, "completed"),
        "tried-at-once-after-a-wait": Scenario(_WITH_WAIT.replace("WAIT", "1s"), "completed"),
        "tried-at-once-then-queued": Scenario(
            _BOTH, "completed", {"email": "once-451+ada@example.com"}
        ),
        "tried-at-once-refused": Scenario(_BOTH, "failed", {"email": "fail-550+ada@example.com"}),
        "tried-at-once-unknown": Scenario(
            _BOTH, "failed", {"email": "drop-after-data+ada@example.com"}
        ),
        "tried-at-once-then-held": Scenario(_WAIT_THEN_BOTH, "completed", stopped=True),
    }
)

_AWAY = "ALTER TABLE invoices RENAME TO elsewhere"

SWEEP_SCENARIOS: Mapping[str, SweepScenario] = MappingProxyType(
    {
        "sweep-finds": SweepScenario("completed"),
        "sweep-tried-again": SweepScenario(
            "completed", broken=_AWAY, mended="ALTER TABLE elsewhere RENAME TO invoices"
        ),
        "sweep-serves-nobody": SweepScenario("failed", time_zone="Mars/Olympus"),
        "sweep-left-out": SweepScenario("failed", catch_up=timedelta.resolution),
        "sweep-cancelled": SweepScenario("failed", broken=_AWAY),
    }
)
