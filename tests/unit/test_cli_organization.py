"""Which organization a command is about."""

from __future__ import annotations

from uuid import UUID

import pytest

from cli.organization import choose
from fixlify.domain.errors import NotFoundError
from fixlify.domain.facts import Organization

NORTHWIND = Organization(id=UUID(int=1), name="Northwind Heating")
SOUTHWIND = Organization(id=UUID(int=2), name="Southwind Plumbing")
NAMESAKE = Organization(id=UUID(int=3), name="northwind heating")


def test_the_only_one_need_not_be_named() -> None:
    assert choose([NORTHWIND], None) is NORTHWIND


@pytest.mark.parametrize(
    "wanted",
    ["Southwind Plumbing", " southwind PLUMBING ", "00000000-0000-0000-0000-000000000002"],
)
def test_one_is_chosen_by_its_name_or_id(wanted: str) -> None:
    assert choose([NORTHWIND, SOUTHWIND], wanted) is SOUTHWIND


def test_among_several_one_must_be_named() -> None:
    with pytest.raises(NotFoundError) as refused:
        choose([NORTHWIND, SOUTHWIND], None)
    assert str(refused.value) == (
        "there are 2 organizations; choose one with --organization NAME|ID:\n"
        "  00000000-0000-0000-0000-000000000001  Northwind Heating\n"
        "  00000000-0000-0000-0000-000000000002  Southwind Plumbing"
    )


def test_namesakes_are_told_apart_by_their_ids() -> None:
    with pytest.raises(NotFoundError, match="2 organizations are called 'Northwind Heating'"):
        choose([NORTHWIND, NAMESAKE], "Northwind Heating")
    assert choose([NORTHWIND, NAMESAKE], str(NAMESAKE.id)) is NAMESAKE


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="did you mean 'Northwind Heating'") as refused:
        choose([NORTHWIND, SOUTHWIND], "Northwind Heatin")
    assert refused.value.nearest == "Northwind Heating"


def test_even_the_only_one_must_be_the_one_that_is_named() -> None:
    with pytest.raises(NotFoundError):
        choose([NORTHWIND], "Southwind Plumbing")


def test_without_any_the_first_is_to_be_entered() -> None:
    with pytest.raises(NotFoundError, match="INSERT INTO organizations"):
        choose([], None)


def test_a_long_list_is_cut() -> None:
    many = [Organization(id=UUID(int=number), name=f"Company {number}") for number in range(50)]
    with pytest.raises(NotFoundError) as refused:
        choose(many, None)
    assert str(refused.value).endswith("… and 30 more")
