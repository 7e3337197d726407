"""/docs: the OpenAPI document for people. A browser gets all it needs from here; no other host is asked."""

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

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
