"""Try an automation before it is trusted: with real facts, a virtual clock, and no effect."""

from __future__ import annotations

from starter.simulation.backtest import Backtest
from starter.simulation.occasion import Rehearsed, read_event
from starter.simulation.rehearsal import Rehearsal, rehearse
from starter.simulation.steps import Fate, Holding, SimulatedMessage, SimulatedStep
from starter.simulation.tally import HeldBy, Tally
from starter.simulation.walk import walk
from starter.simulation.world import World

__all__ = [
    "Backtest",
    "Fate",
    "HeldBy",
    "Holding",
    "Rehearsal",
    "Rehearsed",
    "SimulatedMessage",
    "SimulatedStep",
    "Tally",
    "World",
    "read_event",
    "rehearse",
    "walk",
]
