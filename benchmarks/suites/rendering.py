"""How long the shipped emails take to render, and to compile the first time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from statistics import quantiles
from time import perf_counter
from typing import Any, Final
from uuid import UUID

from benchmarks.lab.figures import middle
from benchmarks.suite import Figures, Scale, Section, Table, Tell
from fixlify.domain.errors import RenderError
from fixlify.domain.facts import Client, Facts, Invoice, Job, Links, Organization, Technician
from fixlify.rendering import render_email, shipped_templates

NAME: Final = "rendering"

_FACTS: Final = Facts(
    organization=Organization(
        id=UUID(int=1),
        name="Lakeside Plumbing",
        email="office@lakeside.example",
        phone="(312) 555-0100",
        website="lakeside.example",
        address="1 Main Street, Springfield",
        logo_url="https://lakeside.example/logo.png",
        brand_color="#0b6e4f",
        time_zone="America/Chicago",
    ),
    client=Client(id=UUID(int=2), first_name="Maria", last_name="Lopez", address="12 Lake Street"),
    technician=Technician(id=UUID(int=3), first_name="Sam", last_name="Okafor"),
    job=Job(
        id="J-2019",
        title="Kitchen faucet repair",
        schedule_start=datetime(2026, 11, 26, 16, 0, tzinfo=UTC),
        total=Decimal("1250.50"),
    ),
    invoice=Invoice(id=UUID(int=5), number="INV-77", total=Decimal("1250.50")),
    links=Links(**{name: f"https://lakeside.example/{name}" for name in Links.model_fields}),
)
_WAY_OUT: Final = "https://lakeside.example/unsubscribe/0123456789"


@dataclass(frozen=True, slots=True)
class Times:
    """What one template took: the first time, and then."""

    template: str
    first_us: float
    p50_us: float
    p99_us: float


async def measure(scale: Scale, tell: Tell) -> Figures:
    """Render each shipped email many times after the first; one of other facts is left out."""
    rounds = scale.choose(50, 500)
    tell(f"each {rounds} times")
    times = await asyncio.to_thread(_measure, rounds)
    return {
        "rounds": rounds,
        "first_us": middle([each.first_us for each in times], 0),
        "p50_us": middle([each.p50_us for each in times], 0),
        "templates": [asdict(each) for each in times],
    }


def section(figures: Figures) -> Section:
    """Tell what the templates take."""
    times: Sequence[Mapping[str, Any]] = figures["templates"]
    return Section(
        "Rendering",
        (
            f"Each of {len(times)} shipped email templates, rendered {figures['rounds']} times "
            "with the same facts on one core: subject, text, and HTML with its styles inlined. "
            "The first time compiles the template; the process keeps it. Medians of the "
            "templates. Reading the facts from Postgres is not in it.",
        ),
        "python -m benchmarks.run --only rendering",
        [
            Table(
                ("Shipped emails", "First time, µs", "Then p50, µs", "Slowest template's p99, µs"),
                [
                    (
                        f"{len(times)} templates",
                        f"{figures['first_us']:,.0f}",
                        f"{figures['p50_us']:,.0f}",
                        f"{max(each['p99_us'] for each in times):,.0f}",
                    )
                ],
            )
        ],
    )


def _measure(rounds: int) -> list[Times]:
    times: list[Times] = []
    for name, source in shipped_templates().items():
        taken: list[float] = []
        try:
            for _ in range(rounds + 1):
                begun = perf_counter()
                render_email(source, _FACTS, unsubscribe_url=_WAY_OUT)
                taken.append((perf_counter() - begun) * 1e6)
        except RenderError:
            continue
        later = taken[1:]
        p99 = quantiles(later, n=100)[98]
        times.append(Times(name, round(taken[0]), middle(later, 0), round(p99)))
    return times
