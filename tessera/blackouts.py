"""Days on which nothing is sent: deciding plans around them, and sending looks once more, for what was put off
may come to lie on one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from tessera.documents import Document


class Dates(Document):
    """Business dates from one to another, both included."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")

    @model_validator(mode="after")
    def _forward(self) -> Dates:
        if self.first > self.last:
            raise ValueError("it must end after it starts")
        return self


def _dates(value: object) -> object:
    return {"from": value, "to": value} if isinstance(value, (date, str)) else value


Blackout = Annotated[Dates, BeforeValidator(_dates, json_schema_input_type=date | Dates)]


def is_blacked_out(day: date, blackouts: Sequence[Dates]) -> bool:
    """Whether `day` lies within one of them; their ends do."""
    return any(one.first <= day <= one.last for one in blackouts)
