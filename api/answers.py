"""Results as responses: pydantic writes the JSON, FastAPI does not look at it a second time."""

from collections.abc import Mapping

from fastapi import Response
from pydantic import BaseModel

from api.schemas.base import Data


def answer(
    result: BaseModel,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    leave_out_unknown: bool = False,
) -> Response:
    """`{"data": result}`; unknown values are null, or left out."""
    return written(Data(data=result), status, headers, leave_out_unknown=leave_out_unknown)


def written(
    result: BaseModel,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    leave_out_unknown: bool = False,
) -> Response:
    """The result as it is."""
    body = result.model_dump_json(by_alias=True, exclude_none=leave_out_unknown)
    return Response(body, status, dict(headers or {}), media_type="application/json")
