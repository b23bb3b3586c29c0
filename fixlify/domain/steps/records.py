"""Which records and fields an automation may write, and what may be written into them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from fixlify.domain.events import SubjectType
from fixlify.domain.names import did_you_mean, normalized

WRITABLE: Final[Mapping[SubjectType, frozenset[str]]] = MappingProxyType(
    {
        SubjectType.JOB: frozenset({"status", "tags", "lead_source", "description"}),
        SubjectType.CLIENT: frozenset({"tags", "lead_source"}),
        SubjectType.ESTIMATE: frozenset({"status"}),
        SubjectType.INVOICE: frozenset({"status"}),
        SubjectType.TASK: frozenset({"status", "description"}),
    }
)
"""What an automation may write: nothing that money, time, people or consent hang on."""

BELONGS_TO: Final[Mapping[SubjectType, tuple[SubjectType, ...]]] = MappingProxyType(
    {
        SubjectType.ORGANIZATION: (),
        SubjectType.CLIENT: (),
        SubjectType.JOB: (SubjectType.CLIENT,),
        SubjectType.ESTIMATE: (SubjectType.JOB, SubjectType.CLIENT),
        SubjectType.INVOICE: (SubjectType.JOB, SubjectType.CLIENT),
        SubjectType.PAYMENT: (SubjectType.INVOICE, SubjectType.JOB, SubjectType.CLIENT),
        SubjectType.TASK: (SubjectType.JOB, SubjectType.CLIENT),
        SubjectType.SMS: (SubjectType.CLIENT,),
    }
)
"""Which other records a run about such a subject may write to."""

LONGEST_TEXT: Final[Mapping[str, int]] = MappingProxyType(
    {"status": 100, "lead_source": 200, "description": 10_000}
)
LONGEST_TAG: Final = 100
MOST_TAGS: Final = 100

_MAY_BE_EMPTY: Final = frozenset({"lead_source", "description"})


def value_problem(field: str, value: Any) -> str | None:
    """Return what is wrong with *value* for the writable *field*; None where nothing is."""
    if field == "tags":
        return _tags_problem(value)
    if value is None and field in _MAY_BE_EMPTY:
        return None
    if not isinstance(value, str):
        nothing = ", or null to empty it" if field in _MAY_BE_EMPTY else ""
        return f"must be text{nothing}; put it in quotes"
    if not value.strip():
        return "must not be empty" + ("; write null" if field in _MAY_BE_EMPTY else "")
    if len(value) > LONGEST_TEXT[field]:
        return f"may have {LONGEST_TEXT[field]:,} characters at most"
    return None


def _tags_problem(value: Any) -> str | None:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return "must be a list of tags; to change some of them use 'add_tags' and 'remove_tags'"
    return next((problem for tag in value if (problem := tag_problem(tag))), None) or (
        f"may hold {MOST_TAGS} tags at most" if len(value) > MOST_TAGS else None
    )


def tag_problem(tag: Any) -> str | None:
    """Return what is wrong with one tag; None where nothing is."""
    if not isinstance(tag, str):
        return "a tag must be text; put it in quotes"
    if normalized(tag) is None or tag.splitlines() != [tag]:
        return "a tag is one line of visible text"
    if len(tag) > LONGEST_TAG:
        return f"a tag may have {LONGEST_TAG} characters at most"
    return None


def record_problems(
    record: SubjectType | None, subject: SubjectType | None, fields: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Yield what keeps *fields* from being written, each as a key of the step and a sentence.

    Args:
        record: What the step says it writes; None is the subject.
        subject: What the run is about; None where only its event tells.
        fields: Of the record; tags that are added or removed count as ``tags``.
    """
    if record is not None and subject is not None:
        reachable = {subject, *BELONGS_TO[subject]} & WRITABLE.keys()
        if record not in reachable:
            choice = f"; valid: {', '.join(sorted(reachable))}" if reachable else ""
            yield "record", f"the {subject} belongs to no {record}{choice}"
            return
    target = record or subject
    if target is None:
        return
    if target not in WRITABLE:
        belongs = [each.value for each in BELONGS_TO[target] if each in WRITABLE]
        choice = f"; say with 'record' which it is: {', '.join(belongs)}" if belongs else ""
        yield "", f"no automation writes the {target}{choice}"
        return
    for field in fields:
        if field not in WRITABLE[target]:
            hint = did_you_mean(field, WRITABLE[target])
            yield "set", f"no automation writes the {target}'s '{field}'; {hint}"


def changed_tags(
    tags: Sequence[str | None], add: Iterable[str], remove: Iterable[str]
) -> list[str | None]:
    """Return *tags* with some added and some removed, compared as statuses are.

    Those that are neither stay as they are written, in their order, even where they repeat.
    """
    unwanted = {normalized(tag) for tag in remove}
    kept = [tag for tag in tags if tag is None or normalized(tag) not in unwanted]
    there = {normalized(tag) for tag in kept}
    for tag in add:
        if normalized(tag) not in there:
            kept.append(tag)
            there.add(normalized(tag))
    return kept
