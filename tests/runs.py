"""Executions as a relay leaves them, for tests of what happens to them afterwards."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fixlify.domain.ids import new_id
from fixlify.domain.runs import MessageStatus
from fixlify.storage.messages import Channel, NewMessage
from tests.office import Office

TWO_MESSAGES = """
    name: Thanks
    trigger: {type: job_completed}
    steps:
      - {id: text, type: send_sms, text: Thank you.}
      - {id: mail, type: send_email, subject: Thanks, text: Thank you.}
"""


async def add_execution(office: Office, status: str = "running", **columns: Any) -> UUID:
    """Enter an execution of the automation TWO_MESSAGES for the job J-2019 and return its id."""
    automation = (await office.apply(TWO_MESSAGES)).automation
    if not await office.query(
        "SELECT 1 FROM jobs WHERE organization_id = %s AND id = 'J-2019'", office.organization_id
    ):
        await office.add_job("J-2019")
    execution_id = new_id()
    defaults = {
        "id": execution_id,
        "organization_id": office.organization_id,
        "automation_id": automation.id,
        "automation_version": automation.version,
        "occurrence_key": f"test/{execution_id}",
        "subject_type": "job",
        "subject_id": "J-2019",
        "trigger_type": "job_completed",
        "trigger_value": "completed",
        "trigger_data": json.dumps({}),
        "occurred_at": datetime.now(UTC),
        "status": status,
    }
    await office.insert("automation_execution_logs", **(defaults | columns))
    return execution_id


def new_message(office: Office, execution_id: UUID, **fields: Any) -> NewMessage:
    """Return a text message to the newest client, queued, unless *fields* say otherwise."""
    defaults: dict[str, Any] = {
        "id": new_id(),
        "organization_id": office.organization_id,
        "execution_id": execution_id,
        "step_id": "text",
        "channel": Channel.SMS,
        "recipient_kind": "client",
        "recipient_id": office.newest_client_id,
        "status": MessageStatus.QUEUED,
        "recipient": "+12125550123",
        "body_text": "Thank you.",
    }
    return NewMessage(**(defaults | fields))
