"""Deliveries of the news of a failed run: what the receiver answers, and how each ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from tests.receiving import Reply


@dataclass(frozen=True, slots=True)
class DeliveryScenario:
    """One delivery; the receiver says *replies* in their order, then ``otherwise`` (or takes it).

    A *cancelled* one is cancelled after its first attempt.
    """

    expected_status: str
    replies: tuple[Reply, ...] = ()
    otherwise: Reply | None = None
    give_up_after: timedelta = timedelta(hours=24)
    cancelled: bool = False
    disabled: bool = False


DELIVERY_SCENARIOS: Mapping[str, DeliveryScenario] = MappingProxyType(
    {
        "delivery-taken-later": DeliveryScenario(
            "delivered", replies=(Reply(500, {"Retry-After": "1"}),)
        ),
        # Its second attempt would come after five seconds.
        "delivery-given-up": DeliveryScenario(
            "failed", otherwise=Reply(500), give_up_after=timedelta(seconds=4)
        ),
        "delivery-disables-the-webhook": DeliveryScenario("failed", otherwise=Reply(410)),
        "delivery-of-a-disabled-webhook": DeliveryScenario("cancelled", disabled=True),
        "delivery-cancelled": DeliveryScenario("cancelled", otherwise=Reply(500), cancelled=True),
    }
)
