"""The process's health on the wire."""

from typing import Literal

from pydantic import BaseModel, Field


class Health(BaseModel):
    """How this process is."""

    status: Literal["ok"] = Field(description="All is well.", examples=["ok"])
