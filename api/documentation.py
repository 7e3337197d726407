"""What the OpenAPI document says of a route beside its result."""

from typing import Any

from api.schemas import Error

_ERRORS = {
    400: "The request breaks a rule; the sentence names the field and the rule.",
    401: "No API key, or not a good one.",
    403: "The API key lacks the right.",
    404: "It does not exist, or lies outside the key's scope.",
    409: "It exists already.",
    413: "The body has more than 64 KiB.",
    503: "No answer from Temporal; the sentence says whether nothing was started or the outcome is unknown.",
}
_REQUEST_ID = {
    "X-Request-Id": {
        "description": "Names the request in the log; yours when you sent one.",
        "schema": {"type": "string"},
    }
}
_LOCATION = {"Location": {"description": "Where to look.", "schema": {"type": "string"}}}

Responses = dict[int | str, dict[str, Any]]


def responses(*errors: int, pending: Any = None) -> Responses:
    """The errors of a route, and its 202 when the outcome may be `pending`.

    Every route may answer `default`, which also keeps FastAPI's own 422 out of the document.
    """
    documented: Responses = {
        status: {"model": Error, "description": _ERRORS[status], "headers": _REQUEST_ID} for status in errors
    }
    if pending is not None:
        documented[202] = {
            "model": pending,
            "description": "Not known yet: look again.",
            "headers": _REQUEST_ID | _LOCATION,
        }
    documented["default"] = {
        "model": Error,
        "description": "Anything else that is wrong.",
        "headers": _REQUEST_ID,
    }
    return documented
