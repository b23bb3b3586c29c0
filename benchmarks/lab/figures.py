"""Percentiles and ratios, the same for everything that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Spread:
    """How values are spread, in the unit of the values."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float], digits: int = 1) -> Self:
        """Return the spread of *values*.

        Raises:
            ValueError: There are none, so nothing can be said of them.
        """
        if not values:
            raise ValueError("there is nothing to measure the spread of")
        if len(values) == 1:
            percentiles = [values[0]] * 99
        else:
            percentiles = quantiles(values, n=100, method="inclusive")
        return cls(
            count=len(values),
            p50=round(percentiles[49], digits),
            p95=round(percentiles[94], digits),
            p99=round(percentiles[98], digits),
            max=round(max(values), digits),
        )

    def as_json(self, unit: str) -> dict[str, Any]:
        """Return the values by name, each name with its *unit*: ``p50_ms``."""
        values = asdict(self)
        return {"count": values.pop("count"), **{f"{k}_{unit}": v for k, v in values.items()}}


def middle(values: Sequence[float], digits: int = 2) -> float:
    """Return the median of the rounds of one measurement."""
    return round(median(values), digits)
