"""Executions as people read them, and as programs do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.happenings import what_happened
from cli.listing import STYLES, Column, Line, print_listing
from cli.output import console, elapsed, local, printable
from fixlify.domain.automation import AutomationStatus, StoredAutomation
from fixlify.domain.events import SubjectType
from fixlify.storage.history import ExecutionStory, PastExecution, PastMessage, PastStep

# An id's first 18 characters name a millisecond and 12 random bits: enough to ask for one.
_SHORT_ID: Final = 18
_WIDEST: Final = 100
_MARKS: Final[Mapping[str, str]] = {
    "completed": "✓",
    "failed": "✗",
    "unknown": "?",
    "skipped": "-",
    "cancelled": "-",
}
_NOT_REACHED: Final = "·"

_COLUMNS: Final = (
    Column("TIME"),
    Column("EXECUTION"),
    Column("AUTOMATION", shrinks=True),
    Column("ABOUT", shrinks=True),
    Column("STATUS"),
    Column("TOOK", right=True),
)


def print_executions(executions: Sequence[PastExecution], *, more: bool) -> None:
    """Print one line per execution, with its reason below it; *more* says there are others."""
    print_listing(console, _COLUMNS, [_line(execution) for execution in executions])
    if more:
        console.print(
            f"\nThe newest {len(executions)}; --limit {len(executions) * 5} shows more.",
            style="dim",
        )


def _line(execution: PastExecution) -> Line:
    waiting = f"at step {execution.waiting_for}" if execution.waiting_for else None
    return Line(
        (
            local(execution.created_at),
            str(execution.id)[:_SHORT_ID],
            execution.automation,
            _about(execution),
            execution.status.value,
            elapsed(execution.duration),
        ),
        execution.reason or waiting,
    )


def _about(execution: PastExecution) -> str:
    # A job's id is one that people gave it, and says by itself what it is.
    if execution.subject_type == SubjectType.JOB:
        return execution.subject_id
    return f"{execution.subject_type} {execution.subject_id}"


def print_nothing_yet(automations: Sequence[StoredAutomation]) -> None:
    """Say why there are no executions, and what to do next."""
    console.print("Nothing has run yet.")
    if not automations:
        next_step = (
            "There is no automation; `fixlify automations list --shipped` shows some to apply."
        )
    elif not any(each.status is AutomationStatus.ACTIVE for each in automations):
        next_step = "No automation is active; `fixlify automations enable NAME` makes it listen."
    else:
        next_step = (
            "Change a job's status and look again; if nothing appears, `fixlify doctor` says why."
        )
    console.print(next_step, markup=False)


def print_story(story: ExecutionStory, link: str | None) -> None:
    """Print one run from what set it off to what was sent; *link* is its page in the Web UI."""
    execution = story.execution
    console.print(_headline(execution))
    console.print(Text(str(execution.id), style="dim"))
    console.print()
    console.print(_happenings(story))
    if story.steps:
        console.print(Text("\nSteps", style="bold"))
        console.print(_steps(story.steps, execution.waiting_for))
    if story.messages:
        console.print(Text("\nMessages", style="bold"))
        for message in story.messages:
            console.print(_message(message, story.latency(message)))
    _print_whereabouts(story, link)


def _headline(execution: PastExecution) -> Text:
    status = execution.status.value
    headline = Text.assemble(
        (f"{_MARKS.get(status, _NOT_REACHED)} {status}", f"bold {STYLES.get(status, '')}"),
        "  ",
        (printable(execution.automation), "bold"),
        f", version {execution.version}, for {execution.subject_type} ",
        printable(execution.subject_id),
    )
    if execution.reason:
        headline.append(f"\n{printable(execution.reason)}", STYLES.get(status, ""))
    return headline


def _happenings(story: ExecutionStory) -> Table:
    """Return what happened when, each with its distance from the business write."""
    execution = story.execution
    table = _grid()
    for what, instant in (
        (
            what_happened(execution.subject_type, execution.subject_id, story.trigger_data),
            execution.occurred_at,
        ),
        ("the engine recorded it", execution.created_at),
        ("the run began", execution.started_at),
        ("the run ended", execution.completed_at if execution.started_at else None),
    ):
        if instant is not None:
            after = elapsed(instant - execution.occurred_at)
            delay = "" if instant is execution.occurred_at else f"+{after}"
            table.add_row(
                local(instant, exact=True), Text(delay, "dim", justify="right"), Text(what)
            )
    if execution.waiting_for:
        table.add_row("now", "", f"it waits at step {execution.waiting_for}")
    return table


def _steps(steps: Sequence[PastStep], waiting_for: str | None) -> Table:
    table = _grid()
    # "cool-down until 2026-11-23 10:00 UTC" or "mail: held, …; text: held, …": a step's id comes
    # first and has no spaces.
    waiting_steps = {
        part.partition(" ")[0].removesuffix(":") for part in (waiting_for or "").split("; ")
    }
    for step in steps:
        status = step.status.value if step.status else "not reached"
        if step.status is None and step.id in waiting_steps:
            status = "waiting"
        style = STYLES.get(status, "dim" if step.status is None else "")
        table.add_row(
            Text("  " + _MARKS.get(status, _NOT_REACHED), style),
            step.id,
            Text(step.type, "dim"),
            Text(status, style),
            Text(printable(step.reason or "")),
        )
    return table


def _message(message: PastMessage, latency: timedelta | None) -> Panel:
    status = message.status.value
    style = STYLES.get(status, "")
    to = printable(message.recipient or "nobody")
    title = Text.assemble(
        (message.channel, "bold"), f" to {to} ({message.recipient_kind}): ", (status, style)
    )
    if latency is not None:
        title.append(f" {elapsed(latency)} after the change")
    return Panel(
        Group(*_content(message)),
        title=title,
        title_align="left",
        subtitle=Text(" · ".join(_dispatch(message)), style="dim"),
        subtitle_align="left",
        border_style=style or "dim",
        box=box.ROUNDED,
        width=min(console.width, _WIDEST),
        padding=(0, 1),
    )


def _content(message: PastMessage) -> Iterator[RenderableType]:
    if message.reason:
        yield Text(printable(message.reason), style=STYLES.get(message.status.value, ""))
    if message.subject:
        yield Text(printable(message.subject) + "\n", style="bold")
    if message.body_text:
        yield Text(printable(message.body_text.strip()))
    elif not message.reason:
        yield Text("(no text)", style="dim")


def _dispatch(message: PastMessage) -> Iterator[str]:
    yield f"step {message.step_id}"
    yield f"{message.attempts} attempt{'' if message.attempts == 1 else 's'}"
    if message.sent_at is not None:
        yield f"accepted {local(message.sent_at, exact=True)}"
    if message.segments is not None:
        yield f"{message.segments} segment{'' if message.segments == 1 else 's'}"
    if message.body_html:
        yield "with HTML"
    if message.error_code:
        yield f"code {printable(message.error_code)}"


def _print_whereabouts(story: ExecutionStory, link: str | None) -> None:
    """Print the names other systems have for the run, each whole, to be copied."""
    names = [
        (f"{message.provider} ({message.step_id})", message.provider_id)
        for message in story.messages
    ]
    names += [("workflow", story.workflow_id), ("run", story.run_id), ("Web UI", link)]
    known = [(label, name) for label, name in names if name]
    if not known:
        return
    console.print(Text("\nElsewhere", style="bold"))
    width = max(len(label) for label, _ in known)
    for label, name in known:
        line = Text.assemble("  ", (label.ljust(width), "dim"), "  ", printable(name))
        console.print(line, soft_wrap=True)


def _grid() -> Table:
    return Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))


def execution_document(execution: PastExecution) -> dict[str, Any]:
    """Return *execution* for ``--json``; ``duration_ms`` is None until it has ended."""
    return {**asdict(execution), "duration_ms": _milliseconds(execution.duration)}


def story_document(story: ExecutionStory, link: str | None) -> dict[str, Any]:
    """Return *story* for ``--json``; ``latency_ms`` is from the change to the acceptance."""
    return {
        **execution_document(story.execution),
        "trigger_data": story.trigger_data,
        "launched_at": story.launched_at,
        "workflow_id": story.workflow_id,
        "run_id": story.run_id,
        "web_ui": link,
        "steps": [asdict(step) for step in story.steps],
        "messages": [
            {**asdict(message), "latency_ms": _milliseconds(story.latency(message))}
            for message in story.messages
        ],
    }


def _milliseconds(duration: timedelta | None) -> float | None:
    return None if duration is None else round(duration.total_seconds() * 1000, 1)
