"""Bare Temporal as a process: starts runs of one shape and works them off, as told on its input.

Each line of the input is a number of runs; the answer is one line of JSON, the moments of
``time.monotonic`` at which they ended. The process ends with its input.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
from contextlib import AsyncExitStack
from typing import Any, Final
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from benchmarks.peers.bare_activities import BareActivities, bare_queue
from benchmarks.peers.bare_workflows import SHAPES
from fixlify import temporal
from fixlify.domain import queues
from fixlify.domain.runs import AutomationRun, RunOutcome
from starter.launch import CONCURRENT_STARTS, RPC_TIMEOUT
from worker.sandbox import workflow_runner
from worker.workers import CONCURRENT_SENDS, CONCURRENT_WORKFLOW_TASKS, FIRST_TRIES

_ORGANIZATION: Final = uuid4()


class BareTemporal:
    """Starts and counts runs of one shape; lives as its process."""

    def __init__(self, client: Client, shape: str) -> None:
        self._client = client
        self._shape = shape
        # Words of a queue's name are kept apart by hyphens, those of a shape are not.
        self._prefix = f"bare_{shape}"
        self._slots = asyncio.Semaphore(CONCURRENT_STARTS)
        self._activities = BareActivities()

    def workers(self) -> list[Worker]:
        """Return the workers, with the options of ``worker/workers.py``."""
        done = self._activities
        automations = Worker(
            self._client,
            task_queue=bare_queue(self._prefix, queues.AUTOMATIONS),
            workflows=[SHAPES[self._shape]],
            activities=[
                done.fetch_context,
                done.render_messages,
                done.send_email,
                done.send_sms,
                done.record_outcome,
            ],
            workflow_runner=workflow_runner(),
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            max_concurrent_workflow_tasks=CONCURRENT_WORKFLOW_TASKS + FIRST_TRIES,
            max_cached_workflows=1000,
        )
        senders = [
            Worker(
                self._client,
                task_queue=bare_queue(self._prefix, queue),
                activities=[send],
                activity_task_poller_behavior=PollerBehaviorAutoscaling(),
                max_concurrent_activities=CONCURRENT_SENDS,
            )
            for queue, send in ((queues.EMAIL, done.send_email), (queues.SMS, done.send_sms))
        ]
        return [automations, *senders]

    async def work_off(self, runs: int) -> list[float]:
        """Start so many runs at once; return when each ended."""
        await asyncio.gather(*(self.start() for _ in range(runs)))
        return [await self._activities.ended.get() for _ in range(runs)]

    async def start(self) -> WorkflowHandle[Any, RunOutcome]:
        """Start one run as ``starter/launch.py`` does."""
        execution_id, subject = uuid4(), "J-1234"
        async with self._slots:
            return await self._client.start_workflow(
                SHAPES[self._shape].run,
                AutomationRun(execution_id=execution_id, organization_id=_ORGANIZATION),
                id=f"{self._prefix}/{execution_id}",
                task_queue=bare_queue(self._prefix, queues.AUTOMATIONS),
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                request_eager_start=True,
                priority=Priority(fairness_key=str(_ORGANIZATION)),
                rpc_timeout=RPC_TIMEOUT,
                static_summary=f"Job completed: {subject}",
                static_details=(
                    "Automation **Job completed**, version 1\n\n"
                    f"- Set off by `job_status_changed` of job `{subject}`\n"
                    f"- Execution `{execution_id}`: `fixlify executions show {execution_id}`"
                ),
                search_attributes=TypedSearchAttributes(
                    [
                        SearchAttributePair(temporal.ORGANIZATION, str(_ORGANIZATION)),
                        SearchAttributePair(temporal.AUTOMATION, str(_ORGANIZATION)),
                        SearchAttributePair(temporal.SUBJECT, subject),
                        SearchAttributePair(temporal.TRIGGER, "job_status_changed"),
                    ]
                ),
            )


async def serve(address: str, namespace: str, shape: str) -> None:
    """Do what the input says until it ends."""
    client = await temporal.connect(
        address, namespace, identity=f"bare-{shape} {os.getpid()}", runtime=_quiet_runtime()
    )
    bare = BareTemporal(client, shape)
    async with AsyncExitStack() as stack:
        for worker in bare.workers():
            await stack.enter_async_context(worker)
        # As the engine's worker does before its first run.
        gc.collect()
        gc.freeze()
        while line := await asyncio.to_thread(sys.stdin.readline):
            ended = await bare.work_off(int(line))
            sys.stdout.write(json.dumps(ended) + "\n")
            sys.stdout.flush()


def _quiet_runtime() -> Runtime:
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(TelemetryFilter(core_level="ERROR", other_level="ERROR"))
        )
    )


def main() -> None:
    """Read where Temporal is, and which shape is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--shape", required=True, choices=sorted(SHAPES))
    told = parser.parse_args()
    asyncio.run(serve(told.address, told.namespace, told.shape))


if __name__ == "__main__":
    main()
