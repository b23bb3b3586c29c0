"""Which names are time zones."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from fixlify.domain.names import nearest


def zone_problem(name: str) -> str | None:
    """Return why *name* cannot be used as a time zone, or None: only IANA's own names can."""
    if name in _zone_names():
        return None
    if not name.strip():
        return "a time zone is a name such as 'America/New_York'"
    shown = name[:40]
    close = nearest(shown, _zone_names())
    hint = f"did you mean '{close}'?" if close else "write a name such as 'America/New_York'"
    return f"unknown time zone '{shown}'; {hint}"


def first_zone(*names: str | None) -> ZoneInfo:
    """Return the first of *names* that is a time zone; UTC where none is."""
    for name in names:
        if name and zone_problem(name) is None:
            return ZoneInfo(name)
    return ZoneInfo("UTC")


@cache
def _zone_names() -> frozenset[str]:
    # The package's own list: the machine's folder also holds files such as `localtime`.
    names = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(names) - {"Factory"}
