"""Finding the one schedule that a person means by a name or an id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fixlify.domain.errors import NotFoundError
from fixlify.domain.names import did_you_mean, nearest
from fixlify.domain.sweeps import SweepKind
from fixlify.storage.schedules import StoredSchedule

# More than a person reads in an error message.
_LISTED: Final = 20


def find_schedule(schedules: Sequence[StoredSchedule], wanted: str) -> StoredSchedule:
    """Return the one that *wanted* names: by its id, its name, or its automation's id.

    Raises:
        NotFoundError: None is called so, or several are; the message lists them.
    """
    if not schedules:
        raise NotFoundError("there are no schedules yet; `fixlify schedules sync` makes them")
    ids = {wanted.casefold(), f"{SweepKind.USER_SCHEDULE}/{wanted}".casefold()}
    found = [each for each in schedules if each.id.casefold() in ids] or [
        each for each in schedules if each.name.casefold() == wanted.strip().casefold()
    ]
    if len(found) == 1:
        return found[0]
    if found:
        listing = "\n".join(f"  {each.id}  {each.name}" for each in found[:_LISTED])
        more = f"\n  … and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise NotFoundError(
            f"{len(found)} schedules are called '{wanted}'; give the id:\n{listing}{more}"
        )
    names = list(dict.fromkeys([each.name for each in schedules] + [each.id for each in schedules]))
    close = nearest(wanted, names)
    hint = did_you_mean(wanted, names) if close else "`fixlify schedules list` shows them"
    raise NotFoundError(f"no schedule '{wanted}'; {hint}", close)
