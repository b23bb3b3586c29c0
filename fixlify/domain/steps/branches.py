"""Steps that decide where the run goes: one way or the other, or nowhere further."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from fixlify.domain.conditions import Condition
from fixlify.domain.steps.base import StepBase

if TYPE_CHECKING:
    from fixlify.domain.steps import Step


class Branch(StepBase):
    """Do the steps of ``then`` where the condition holds, else those of ``else``."""

    type: Literal["branch"] = "branch"
    if_: Annotated[Condition, Field(alias="if")]
    then: tuple[Step, ...] = ()
    otherwise: Annotated[tuple[Step, ...], Field(alias="else")] = ()

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Branch:
        if not self.then and not self.otherwise:
            raise PydanticCustomError(
                "branch", "a branch needs steps; give 'then', 'else', or both"
            )
        return self


class Exit(StepBase):
    """End the run here: what was done stands, nothing more is."""

    type: Literal["exit"] = "exit"
