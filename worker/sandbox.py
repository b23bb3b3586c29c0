"""The workflow sandbox, on, without what our payloads do not need."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info


def workflow_runner() -> SandboxedWorkflowRunner:
    """Return the sandbox; our own modules pass through it, which halves its cost."""
    _keep_bytecode()
    return _Sandbox(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(
            "activities",
            "fixlify",
            "workflows.calls",
            "workflows.holding",
            "workflows.memory",
            "workflows.run",
            "pydantic",
            "pydantic_core",
        )
    )


@dataclass(frozen=True)
class _Sandbox(SandboxedWorkflowRunner):
    """The SDK's sandbox around instances that have no serialization context."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _WithoutContext(super().create_instance(det))


class _WithoutContext(WorkflowInstance):
    """One workflow instance whose payloads are converted without regard to where they go.

    The SDK asks each instance, inside the sandbox and three times per payload, for the context
    that a codec or an external storage may want. We have neither, and the asking is a tenth of
    a worker's time. A codec that wants its context needs this class gone.
    """

    def __init__(self, instance: WorkflowInstance) -> None:
        self._instance = instance

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return self._instance.activate(act)

    def get_serialization_context(self, command_info: object) -> SerializationContext | None:
        return None

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:
        return StorageDriverStoreContext(target=None)

    def get_info(self) -> Info:
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        return self._instance.get_thread_id()


def _keep_bytecode() -> None:
    """Let Python keep compiled modules, in a folder of our own, where it was told not to.

    The sandbox imports the workflow's file anew for every run; without bytecode it would also
    compile it anew, for milliseconds each time. Images set PYTHONDONTWRITEBYTECODE to stay
    small, which this respects: the folder is temporary, and one for all processes of a user.
    """
    if not sys.dont_write_bytecode:
        return
    folder = Path(tempfile.gettempdir()) / f"fixlify-bytecode-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_symlink() and folder.stat().st_uid == os.getuid():
        # Anybody else's could hold code that is not ours.
        sys.pycache_prefix = str(folder)
        sys.dont_write_bytecode = False
