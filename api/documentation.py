"""What the OpenAPI document says of a route beside its result."""

from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

from api.schemas.base import Error

ERRORS = {
    400: "The request breaks a rule; the sentence names the field and the rule.",
    401: "No API key, or not a good one.",
    403: "The API key lacks the right.",
    404: "It does not exist, or lies outside the key's scope.",
    409: "It contradicts what is there already; the sentence says what.",
    413: "The body has more than 64 KiB.",
    429: "More requests in a minute than an API key may make.",
    500: "Something failed on our side; the log knows more under the request's id.",
    503: "No answer from Temporal or from the database; the sentence says what is known of the outcome.",
}


def _header(description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"description": description, "schema": schema or {"type": "string"}}


_REQUEST_ID = {"X-Request-Id": _header("Names the request in the log; yours when you sent one.")}
_LOCATION = {"Location": _header("Where to look.")}
_CHALLENGE = {"WWW-Authenticate": _header("Always `Bearer`.")}
_RETRY_AFTER = {
    "Retry-After": _header("Seconds after which to try again.", {"type": "integer", "minimum": 1})
}
_MORE_HEADERS = {401: _CHALLENGE, 429: _RETRY_AFTER, 503: _RETRY_AFTER}

_OF_EVERY_ROUTE = (401, 429, 500, 503)
"""A key is asked for first; the database is asked for the key."""

Responses = dict[int | str, dict[str, Any]]


def responses(*errors: int, success: int = 200, located: bool = False, pending: Any = None) -> Responses:
    """The errors of a route below /api, the headers of its success, and its 202 when it may be `pending`.

    Every route may answer `default`, which also keeps FastAPI's own 422 out of the document.
    """
    documented = public_responses(*errors, *_OF_EVERY_ROUTE, success=success)
    if located:
        documented[success]["headers"] |= _LOCATION
    if pending is not None:
        documented[202] = {
            "model": pending,
            "description": "Not known yet: look again.",
            "headers": _REQUEST_ID | _LOCATION,
        }
    return documented


def public_responses(*errors: int, success: int = 200) -> Responses:
    """The same of a route that asks for no API key."""
    documented: Responses = {
        status: {
            "model": Error,
            "description": ERRORS[status],
            "headers": _REQUEST_ID | _MORE_HEADERS.get(status, {}),
        }
        for status in sorted(set(errors))
    }
    documented[success] = {"headers": dict(_REQUEST_ID)}
    documented["default"] = {
        "model": Error,
        "description": "Anything else that is wrong.",
        "headers": _REQUEST_ID,
    }
    return documented


PATH = "/docs"
FILES = f"{PATH}/static"

# Swagger UI's page has its start-up script and styles in line.
_OWN_FILES_ONLY = {"Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:"}


def add_pages(app: FastAPI) -> None:
    """Serve the page and its files."""
    app.mount(FILES, StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static"))

    async def page() -> Response:
        response = get_swagger_ui_html(
            openapi_url=app.openapi_url or "",
            title=f"{app.title}: the API",
            swagger_js_url=f"{FILES}/swagger-ui-bundle.js",
            swagger_css_url=f"{FILES}/swagger-ui.css",
            swagger_favicon_url=f"{FILES}/favicon.png",
            swagger_ui_parameters={"validatorUrl": None},  # else it sends the document's address abroad
        )
        response.headers.update(_OWN_FILES_ONLY)
        return response

    app.add_api_route(PATH, page, include_in_schema=False)
