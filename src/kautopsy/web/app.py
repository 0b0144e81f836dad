"""The application: routes, middleware, files."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from kautopsy.fleet.database import Database
from kautopsy.fleet.files import DataFolder
from kautopsy.fleet.intake.upload import Uploads
from kautopsy.fleet.settings import Settings
from kautopsy.model.errors import KautopsyError
from kautopsy.web import metrics
from kautopsy.web.api import openapi, reading, sending, triaging
from kautopsy.web.api.operation import PREFIX, problem
from kautopsy.web.config import WebConfig
from kautopsy.web.context import Context, Site, error_page
from kautopsy.web.pages import admin, crashes, groups, machines, session
from kautopsy.web.passwords import Attempts
from kautopsy.web.security import SecurityHeaders, identify
from kautopsy.web.templates import Templates

_MESSAGES = {404: "There is no such page.", 405: "That cannot be done with this page."}


def create_app(
    database: Database, config: WebConfig, *, data: DataFolder, settings: Settings
) -> Starlette:
    """The whole server over an open store.

    :param data: where uploads go
    :param settings: of the fleet: what is taken, what is kept
    """
    operations = (*reading.OPERATIONS, *triaging.OPERATIONS, *sending.OPERATIONS)
    description = json.dumps(openapi.document(operations))
    routes: list[BaseRoute] = [
        Route("/static/style.css", _static("text/css", _style())),
        Route("/static/script.js", _static("text/javascript", _script())),
        *session.ROUTES,
        *groups.ROUTES,
        *crashes.ROUTES,
        *machines.ROUTES,
        *admin.ROUTES,
        *metrics.ROUTES,
        *(operation.route() for operation in operations),
        sending.RECEIVE,
        Route(f"{PREFIX}/openapi.json", _static("application/json", description)),
    ]
    if has_sql(config):
        from kautopsy.web.pages import sql

        routes += sql.ROUTES
    figures = metrics.Metrics(database)
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(metrics.Watch, metrics=figures),
            Middleware(SecurityHeaders, secure=config.secure),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _bug},
    )
    app.state.metrics = figures
    app.state.site = Site(
        database, config, settings, Uploads(database, data, settings), Templates(), Attempts()
    )
    return app


def has_sql(config: WebConfig) -> bool:
    """Whether there is a page for SQL: a directory of snapshots, and DuckDB."""
    return bool(config.snapshots) and importlib.util.find_spec("duckdb") is not None


def _style() -> str:
    return files("kautopsy.report.page").joinpath("style.css").read_text(encoding="utf-8") + files(
        "kautopsy.web.static"
    ).joinpath("style.css").read_text(encoding="utf-8")


def _script() -> str:
    return files("kautopsy.report.page").joinpath("script.js").read_text(encoding="utf-8")


def _static(kind: str, text: str) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that serves ``text``; browsers may keep it for an hour."""
    body = text.encode()

    async def serve(_request: Request) -> Response:
        return Response(body, media_type=kind, headers={"cache-control": "public, max-age=3600"})

    return serve


def _bug(request: Request, error: Exception) -> Response:
    """A defect of ours: a line for people; Starlette raises it again, for the log."""
    message = "This is a defect of kautopsy; the server's log says where."
    if request.url.path.startswith("/api/"):
        return problem(KautopsyError(message, slug="bug"), 500)
    return PlainTextResponse(message + "\n", 500)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = _MESSAGES.get(error.status_code, error.detail)
    if request.url.path.startswith("/api/"):
        slug = "no-such-page" if error.status_code == 404 else "bad-request"
        return problem(KautopsyError(message, slug=slug), error.status_code)
    site: Site = request.app.state.site
    who = identify(request, site.database, site.config)
    return error_page(Context(site, request, who, {}), error.status_code, message)
