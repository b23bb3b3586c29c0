"""The two statements of the gate: take a message if nothing forbids it, and tell what might."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

from fixlify.storage.messages.refusals import REFUSAL
from fixlify.storage.owners import OWNER_OF_RUN
from fixlify.storage.truth import STANDING_OF_RUN, SUPERSEDED, TOLD_OF_RUN, channel_pause

_THE_TRUTH: Final = f"""
    automation_execution_logs e {STANDING_OF_RUN}
    LEFT JOIN clients c ON c.organization_id = e.organization_id AND c.id = people.client_id
"""

# For the planner, which would begin with every open execution where it takes them for few.
_ITS_EXECUTION: Final = "(SELECT x.execution_id FROM messages x WHERE x.id = :id)"

# Nobody else can take the place of an address that a field or the automation names.
_SAME_PERSON: Final = f"""
    CASE m.recipient_kind WHEN 'client' THEN m.recipient_id = people.client_id
                          WHEN 'technician' THEN m.recipient_id = people.technician_id
                          WHEN 'owner' THEN m.recipient_id = ({OWNER_OF_RUN})
                          ELSE true END
"""

# Taken out of the books while the message waited. An address that was changed is not looked at:
# it was put into one form when the message was written.
_ADDRESS_REMOVED: Final = """
    (m.recipient_kind = 'client' AND
     coalesce(btrim(CASE m.channel WHEN 'email' THEN c.email ELSE c.phone END), '') = '')
"""

# What a sweep found grows stale: its message may wait as long as its run could wait to begin. What
# somebody did has that limit for its beginning alone.
_WORTH_UNTIL: Final = """
    least(m.good_until, CASE WHEN NOT starts_with(e.occurrence_key, 'event/')
                             THEN m.created_at + (e.good_until - e.occurred_at) END)
"""

# An automation without rules and exits of its own, in a company without rules, needs no more
# than one statement; what else there is to weigh is weighed before the message is taken.
_NOTHING_TO_WEIGH: Final = f"""
    NOT v.pinned -> 'definition' ?| ARRAY['exit_when', 'rules']
    AND NOT EXISTS (SELECT FROM automation_rules r WHERE r.organization_id = e.organization_id)
    AND {SUPERSEDED} IS NOT TRUE
"""

# The last look, in the same statement that takes the message. Of two attempts, one finds it
# waiting; the other finds nothing and must read what became of it.
CLAIM: Final = text(f"""
    UPDATE messages m
    SET status = 'sending', attempts = m.attempts + 1, sending_at = :now,
        reason = NULL, error_code = NULL, provider_id = NULL, held_until = NULL
    FROM {_THE_TRUTH}
    WHERE m.id = :id AND m.organization_id = :organization_id AND m.status IN ('queued', 'held')
      AND e.id = m.execution_id AND e.id = {_ITS_EXECUTION}
      AND e.status IN ('running', 'waiting')
      AND (a.status = 'active' OR (a.status = 'paused' AND a.paused_runs = 'finish'))
      AND people.known AND {_SAME_PERSON} AND NOT {_ADDRESS_REMOVED}
      AND {REFUSAL} IS NULL
      AND ({_WORTH_UNTIL} < :now) IS NOT TRUE
      AND stop.stands IS NULL AND {channel_pause("m.channel")} IS NULL
      AND (:weighed OR ({_NOTHING_TO_WEIGH}))
    RETURNING m.id, m.message_class, m.recipient, m.sender_name, m.reply_to, m.subject,
              m.body_text, m.body_html
""")  # noqa: S608 - constants

LOOK: Final = text(f"""
    SELECT {TOLD_OF_RUN}, m.status, m.reason, m.error_code, m.step_id, m.channel,
           {channel_pause("m.channel")} AS channel_pause,
           m.message_class, m.recipient_kind, m.recipient_id,
           {_SAME_PERSON} AS same_person, {_ADDRESS_REMOVED} AS address_removed,
           {REFUSAL} AS refusal, {_WORTH_UNTIL} AS worth_until,
           v.pinned -> 'definition' -> 'rules' AS overrides,
           c.time_zone AS client_zone, organization.time_zone AS organization_zone
    FROM messages m
    JOIN organizations organization ON organization.id = m.organization_id,
    {_THE_TRUTH}
    WHERE m.id = :id AND m.organization_id = :organization_id AND e.id = m.execution_id
      AND e.id = {_ITS_EXECUTION}
""")  # noqa: S608 - constants
"""What the gate decides by; ``closed``, ``hold_of`` and ``find_exit`` understand it too."""
