"""Do what the plan says, to everything at once if need be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import psycopg

from benchmarks.chaos.deployment import Releases
from benchmarks.chaos.evidence import Fault
from benchmarks.chaos.keeping import Kept
from benchmarks.chaos.plan import (
    DEPLOYMENT,
    POSTGRES,
    SIDE_BY_SIDE,
    TEMPORAL,
    PlannedFault,
    plan_faults,
)
from benchmarks.chaos.programs import KeptProgram
from benchmarks.chaos.providers import Providers
from benchmarks.chaos.proxy import Proxy

# Longer than a send takes: a deployment that kills at once would be nothing but another kill.
STOP_PATIENCE: Final = timedelta(seconds=15)
_CUT_PATIENCE: Final = timedelta(seconds=5)
_REPORTS_PATIENCE: Final = timedelta(seconds=10)
_LOOK_AGAIN: Final = timedelta(milliseconds=50)


@dataclass(slots=True)
class Monkey:
    """Breaks one world, once; lives as long as one run.

    Attributes:
        faults: what was done, in the order it was done.
        missed: what could not be done, and why.
    """

    seed: int
    duration: timedelta
    parts: Mapping[str, Kept]
    """What is kept running, by name."""
    proxies: Mapping[str, Proxy]
    """What stands before Temporal and Postgres."""
    providers: Providers
    releases: Releases
    connect: Callable[[], Any]
    """Gives a connection to the database, as its owner."""
    faults: list[Fault] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Do everything that is planned, and return when the last of it is over.

        Whatever happens, nothing stays frozen, stalled or refused.
        """
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            async with asyncio.TaskGroup() as group:
                for fault in plan_faults(self.seed, self.duration):
                    await asyncio.sleep(max(0.0, begin + fault.at - loop.time()))
                    group.create_task(self._strike(fault, begin))
        finally:
            self._leave_in_peace()

    def _leave_in_peace(self) -> None:
        for proxy in self.proxies.values():
            proxy.heal()
        self.providers.recover()
        for part in self.parts.values():
            part.thaw()

    async def _strike(self, fault: PlannedFault, begin: float) -> None:
        loop = asyncio.get_running_loop()
        during_recovery = fault.again or any(part.is_recovering for part in self.parts.values())
        at = round(loop.time() - begin, 2)
        try:
            struck = await self._do(fault)
        except TimeoutError:
            struck = False
        if struck:
            self.faults.append(Fault(at, fault.kind, during_recovery, str(fault)))
        else:
            self.missed.append(f"{fault.kind}: nothing was there to strike")

    async def _do(self, fault: PlannedFault) -> bool:
        """Do it, and return when it is over; False when nothing was there."""
        act, _, _ = fault.kind.partition(" ")
        match act:
            case "kill":
                return await self._kill(fault)
            case "freeze":
                return await self._freeze(fault)
            case "stall":
                return await self._stall(fault)
            case "cut":
                return await self._cut(fault)
            case "lost":
                return await self._lose_answers(fault)
            case "provider":
                return await self._refuse(fault)
            case "repeat":
                return await self._repeat_reports()
            case _:
                assert fault.kind == DEPLOYMENT  # noqa: S101 - there is no other
                return await self._deploy()

    async def _kill(self, fault: PlannedFault) -> bool:
        if fault.target != "everything":
            return await self.parts[fault.target].kill(fault.lasting)
        struck = await asyncio.gather(*(part.kill(fault.lasting) for part in self.parts.values()))
        return any(struck)

    async def _freeze(self, fault: PlannedFault) -> bool:
        part = self.parts[fault.target]
        if not part.freeze():
            return False
        await asyncio.sleep(fault.lasting)
        part.thaw()
        return True

    async def _stall(self, fault: PlannedFault) -> bool:
        proxy = self._proxy(fault.target)
        proxy.stall()
        await asyncio.sleep(fault.lasting)
        proxy.heal()
        return True

    async def _cut(self, fault: PlannedFault) -> bool:
        """Cut as soon as there is a connection: providers are talked to now and then only."""
        proxy = self._proxy(fault.target)
        async with asyncio.timeout(_CUT_PATIENCE.total_seconds()):
            while not proxy.cut():  # noqa: ASYNC110 - whoever connects tells nobody
                await asyncio.sleep(_LOOK_AGAIN.total_seconds())
        return True

    async def _lose_answers(self, fault: PlannedFault) -> bool:
        proxy = self._proxy(fault.target)
        before = proxy.lost
        proxy.lose_answers(fault.number)
        with suppress(TimeoutError):
            async with asyncio.timeout(fault.lasting):
                while proxy.lost < before + fault.number:  # noqa: ASYNC110 - bytes tell nobody
                    await asyncio.sleep(_LOOK_AGAIN.total_seconds())
        proxy.lose_answers(0)
        return proxy.lost > before

    async def _refuse(self, fault: PlannedFault) -> bool:
        self.providers.refuse_all(fault.target, fault.answer)
        await asyncio.sleep(fault.lasting)
        self.providers.take_all(fault.target)
        return True

    async def _repeat_reports(self) -> bool:
        """Repeat some as soon as anybody is there to hear them."""
        async with asyncio.timeout(_REPORTS_PATIENCE.total_seconds()):
            while True:
                with suppress(psycopg.Error):
                    async with await self.connect() as connection:
                        if await self.providers.repeat_reports(connection):
                            return True
                await asyncio.sleep(_LOOK_AGAIN.total_seconds())

    async def _deploy(self) -> bool:
        """Replace one program after the other; old and new run side by side for a while."""
        programs = [part for part in self.parts.values() if isinstance(part, KeptProgram)]
        first, *others = programs
        await first.deploy(self.releases.second, STOP_PATIENCE)
        await asyncio.sleep(self.duration.total_seconds() * SIDE_BY_SIDE)
        for program in others:
            await program.deploy(self.releases.second, STOP_PATIENCE)
        return True

    def _proxy(self, target: str) -> Proxy:
        if target in (POSTGRES, TEMPORAL):
            return self.proxies[target]
        return self.providers.proxy_of(target)
