"""fixlify demo: watch one UPDATE become an email and an SMS."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from cli.environment import require_devstack
from cli.output import console, errors, json_option, print_json

if TYPE_CHECKING:
    from cli.demo_run import DemoResult

_WIDEST = 88


@click.command()
@json_option
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the stack's data in this folder, to look at afterwards.",
)
def demo(as_json: bool, keep: Path | None) -> None:
    """Watch one SQL UPDATE become a delivered email and SMS, then measure fifty more.

    Everything is embedded and temporary: Postgres, Temporal, a mailbox and a phone are
    started, used and removed. Nothing configured on this machine is touched.
    """
    require_devstack()
    from cli.demo_run import play
    from fixlify.logs import configure_logging

    # What stands in the way of the demo, and nothing else; never among what it prints.
    configure_logging("warning", "console")
    with tempfile.TemporaryDirectory(prefix="fixlify-demo-") as temporary:
        home = keep or Path(temporary)
        if as_json:
            result = asyncio.run(play(home, tell=lambda _: None))
        else:
            with errors.status("Getting ready") as status:
                result = asyncio.run(play(home, tell=lambda text: _tell(status, text)))
    if as_json:
        print_json(_document(result))
    else:
        _show(result)


def _tell(status: Any, text: str) -> None:
    errors.print(Text.assemble(("> ", "cyan"), text))
    status.update(text)


def _document(result: DemoResult) -> dict[str, Any]:
    return {
        "executions": [
            {
                "id": execution.id,
                "automation": execution.automation,
                "status": execution.status,
                "workflow_id": execution.workflow_id,
            }
            for execution in result.executions
        ],
        "emails": [
            {
                "recipient": ", ".join(email.recipients),
                "sender": email.headers.get("From", email.sender),
                "subject": email.subject,
                "body": email.text,
                "html": email.html,
            }
            for email in result.emails
        ],
        "sms": [
            {
                "recipient": sms.to,
                "sender": sms.from_,
                "body": sms.body,
                "segments": sms.segments,
            }
            for sms in result.sms
        ],
        "latency_ms": {
            "cold": result.latency.cold,
            "warm_p50": result.latency.warm_p50,
            "warm_p99": result.latency.warm_p99,
        },
        "temporal_actions_per_run": result.temporal_actions_per_run,
    }


def _show(result: DemoResult) -> None:
    email, sms = result.emails[0], result.sms[0]
    console.print()
    console.print("[bold]One business write …[/bold]")
    console.print(Syntax(result.first_job.change, "sql", background_color="default"))
    console.print()
    console.print("[bold]… became an email …[/bold]")
    heading = Text.assemble(
        ("From     ", "dim"), email.headers.get("From", email.sender), "\n",
        ("To       ", "dim"), ", ".join(email.recipients), "\n",
        ("Subject  ", "dim"), (email.subject, "bold"), "\n\n",
        email.text.strip(),
    )  # fmt: skip
    console.print(Panel(heading, box=box.ROUNDED, width=_width(), border_style="blue"))
    console.print("[bold]… and a text message.[/bold]")
    bubble = Text.assemble(("To  ", "dim"), f"{sms.to}\n\n", sms.body.strip())
    console.print(Panel(bubble, box=box.ROUNDED, width=_width(), border_style="green"))
    console.print("[bold]In between, a durable Temporal workflow:[/bold]")
    console.print(_run_table(result))
    console.print(_summary(result))


def _run_table(result: DemoResult) -> Table:
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="cyan", no_wrap=True)
    table.add_column()
    for step in result.steps:
        table.add_row(f"{step['milliseconds']:.1f} ms", step["what"])
    return table


def _summary(result: DemoResult) -> Table:
    statuses = [execution.status for execution in result.executions]
    latency = result.latency
    first = result.executions[0]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0), width=_width())
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("Run", f"{first.workflow_id} {first.status}")
    table.add_row(
        "All",
        f"{statuses.count('completed')} of {len(statuses)} runs completed; "
        f"{len(result.emails)} emails and {len(result.sms)} texts delivered"
        + (", each once" if _each_once(result) else ""),
    )
    table.add_row(
        "Latency",
        f"{latency.cold:.0f} ms for the first change; then, at ten a second, "
        f"p50 {latency.warm_p50:.0f} ms and p99 {latency.warm_p99:.0f} ms "
        "(from the commit until both are accepted)",
    )
    table.add_row("Cost", f"{result.temporal_actions_per_run} Temporal actions a run")
    table.add_row()
    table.add_row(
        "Next",
        Text.assemble(
            ("make dev", "bold"),
            " keeps such a stack running, with Temporal's Web UI; the README says how to "
            "connect your own database, mail server and Twilio account.",
        ),
    )
    return table


def _each_once(result: DemoResult) -> bool:
    """Return whether every run reached its client by email and by text, and nobody twice."""
    runs = len(result.executions)
    emails = [email.recipients for email in result.emails]
    texts = [sms.to for sms in result.sms]
    return all(len(sent) == len({str(each) for each in sent}) == runs for sent in (emails, texts))


def _width() -> int:
    return min(console.width, _WIDEST)
