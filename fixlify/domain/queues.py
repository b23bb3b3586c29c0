"""The task queues: one for workflows, one per channel so that each has its own limits."""

from __future__ import annotations

from typing import Final

AUTOMATIONS: Final = "automations"
EMAIL: Final = "email"
SMS: Final = "sms"
SWEEPS: Final = "sweeps"
WEBHOOKS: Final = "webhooks"
