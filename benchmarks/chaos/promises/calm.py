"""P9, P10, P11: the business never noticed, nothing goes in circles, and all came to rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.chaos.ledgers import NOBODY, Ledgers
from benchmarks.chaos.promises.checks import Check, Harm, Violation
from benchmarks.chaos.rows import ENDED
from fixlify.domain.ids import execution_of
from starter.matching import MAX_CHAIN

_UNDER_WAY: Final = frozenset({"queued", "sending"})
_FAILED_WORKFLOWS: Final = frozenset({"FAILED", "TERMINATED", "TIMED_OUT"})


def no_write_failed(ledgers: Ledgers) -> Check:
    """P9: every business write succeeded that a database was there for."""
    failures = ledgers.evidence.write_failures
    return Check(
        len(ledgers.evidence.changes) + len(failures),
        [Violation("business write", each, Harm.LOST) for each in failures],
    )


def no_chain_goes_on(ledgers: Ledgers) -> Check:
    """P10: no automation ran because of itself, no chain is long, and every cause is on record."""
    violations: list[Violation] = []
    for execution in ledgers.executions:
        chain = execution.chain or []
        if not execution.ran:
            continue
        if execution.automation_id in chain:
            sentence = "its automation set itself off"
        elif len(chain) >= MAX_CHAIN:
            sentence = f"{len(chain)} automations set it off, one after another"
        else:
            continue
        violations.append(
            Violation(f"execution {execution.id}", sentence, execution_id=execution.id)
        )
    for event in ledgers.events:
        if event.caused_by is None:
            continue
        cause = ledgers.execution.get(event.caused_by)
        if cause is None or cause.automation_id not in (event.chain or ()):
            violations.append(Violation(f"event {event.id}", "its chain leaves out its cause"))
    return Check(len(ledgers.executions), violations)


def everything_came_to_rest(ledgers: Ledgers) -> Check:
    """P11: nothing is open but what waits for something, and has a workflow that does."""
    violations = [*_open_rows(ledgers), *_open_workflows(ledgers)]
    looked_at = (ledgers.events, ledgers.executions, ledgers.messages, ledgers.workflows or ())
    return Check(sum(map(len, looked_at)), violations)


def _open_rows(ledgers: Ledgers) -> Iterator[Violation]:
    for event in ledgers.events:
        if event.processed_at is None:
            yield Violation(f"event {event.id}", "no relay came to it", Harm.LOST)
    for execution in ledgers.executions:
        if execution.status not in ENDED and execution.status != "waiting":
            yield Violation(
                f"execution {execution.id}",
                f"it is still {execution.status}",
                Harm.LOST,
                execution.id,
            )
    for message in ledgers.messages:
        run = ledgers.execution.get(message.execution_id)
        waits = run is not None and run.status == "waiting"
        if message.status in _UNDER_WAY or (message.status == "held" and not waits):
            yield Violation(
                f"{message.channel} {message.id}",
                f"it is still {message.status}",
                Harm.LOST,
                message.execution_id,
            )
    if ledgers.undelivered:
        yield Violation("signals", f"{ledgers.undelivered} were never delivered", Harm.LOST)


def _open_workflows(ledgers: Ledgers) -> Iterator[Violation]:
    running = set()
    for workflow in ledgers.workflows or ():
        run = ledgers.execution.get(execution_of(workflow.id) or NOBODY)
        status = run.status if run else "unknown"
        if workflow.status == "RUNNING":
            running.add(workflow.id)
            if status != "waiting":
                yield Violation(
                    f"workflow {workflow.id}", f"it still runs, and its execution is {status}"
                )
        elif workflow.status in _FAILED_WORKFLOWS:
            yield Violation(f"workflow {workflow.id}", f"it is {workflow.status}")
    if ledgers.workflows is None:
        return
    for execution in ledgers.executions:
        if execution.status == "waiting" and execution.workflow_id not in running:
            yield Violation(
                f"execution {execution.id}",
                "it waits, and no workflow does",
                Harm.LOST,
                execution.id,
            )
