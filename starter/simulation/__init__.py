"""Try an automation before it is trusted: with real facts, a virtual clock, and no effect."""

from __future__ import annotations

from starter.simulation.occasion import Rehearsed, read_event
from starter.simulation.rehearsal import Rehearsal, rehearse
from starter.simulation.steps import Fate, Holding, SimulatedMessage, SimulatedStep
from starter.simulation.walk import walk
from starter.simulation.world import World

__all__ = [
    "Fate",
    "Holding",
    "Rehearsal",
    "Rehearsed",
    "SimulatedMessage",
    "SimulatedStep",
    "World",
    "read_event",
    "rehearse",
    "walk",
]
