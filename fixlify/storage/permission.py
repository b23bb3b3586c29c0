"""Whether a step that acts may act now: the gate of everything that is no message."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fixlify.domain.endings import automation_ending
from fixlify.domain.limits import LimitedChannel
from fixlify.domain.runs import ActionReceipt, StepRequest, StepStatus
from fixlify.storage.decisions import DecisionKind, record_decision
from fixlify.storage.truth import (
    STANDING_OF_RUN,
    TOLD_OF_RUN,
    channel_pause,
    closed,
    find_exit,
    hold_of,
)

_LOOK: Final = text(f"""
    SELECT {TOLD_OF_RUN}, CAST(:channel AS text) AS channel,
           {channel_pause("CAST(:channel AS text)")} AS channel_pause
    FROM automation_execution_logs e {STANDING_OF_RUN}
    WHERE e.id = :execution_id AND e.organization_id = :organization_id
""")  # noqa: S608 - constants


async def may_act(
    connection: AsyncConnection, request: StepRequest, channel: LimitedChannel | None = None
) -> ActionReceipt | None:
    """Return None where the step may act, else what is to become of it.

    Held is what waits for somebody's word: the automation or the channel is paused, or a stop
    stands. What holds it may be lifted before the caller's transaction is committed.

    Args:
        connection: In the transaction that will act.
        request: Whose step; ``now`` decides what is overdue by then.
        channel: By which it reaches the world; None where it touches our records alone.
    """
    row = await connection.execute(
        _LOOK,
        {
            "execution_id": request.execution_id,
            "organization_id": request.organization_id,
            "channel": channel,
        },
    )
    told = row.mappings().one_or_none()
    if told is None:
        return ActionReceipt(status=StepStatus.CANCELLED, reason="there is no such execution")

    if (reason := closed(told)) is not None:
        status = StepStatus.CANCELLED if told["is_there"] else StepStatus.SKIPPED
        return ActionReceipt(status=status, reason=reason)
    over = automation_ending(
        told["automation_status"], told["paused_runs"], superseded=told["superseded"] is True
    )
    kind = DecisionKind.CANCELLED
    if over is None:
        over = await find_exit(connection, told, request.now)
        kind = DecisionKind.EXITED
    if over is not None:
        receipt = ActionReceipt(status=StepStatus.SKIPPED, reason=over.reason, ending=over)
    elif (held := hold_of(told)) is not None:
        kind = DecisionKind.HELD
        receipt = ActionReceipt(status=StepStatus.HELD, reason=held)
    else:
        return None
    await record_decision(
        connection,
        request.organization_id,
        request.execution_id,
        request.step_id,
        kind,
        receipt.reason or "",
    )
    return receipt
