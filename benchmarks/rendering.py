"""Measure how long the shipped emails take to render, and to compile the first time.

``python -m benchmarks.rendering [--rounds 500]`` prints JSON, times in microseconds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from statistics import median, quantiles
from time import perf_counter
from typing import Final
from uuid import UUID

from fixlify.domain.errors import RenderError
from fixlify.domain.facts import Client, Facts, Invoice, Job, Links, Organization, Technician
from fixlify.rendering import render_email, shipped_templates

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
    """What one template took: the first time, and then; all in microseconds."""

    template: str
    first: float
    p50: float
    p99: float


def measure(rounds: int) -> list[Times]:
    """Render each shipped email *rounds* times after the first; one of other facts is left out."""
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
        times.append(Times(name, round(taken[0]), round(median(later)), round(p99)))
    return times


def main() -> None:
    """Print the times of every template and the median of their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    times = measure(parser.parse_args().rounds)
    summary = {
        "p50": median(each.p50 for each in times),
        "templates": [asdict(each) for each in times],
    }
    print(json.dumps(summary, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
