"""What a page's function is given, and how it answers.

A page is a plain function ``Context → Response``; it runs in a thread, since the store is read
synchronously. :func:`endpoint` makes of it what Starlette calls: it reads the form, asks who comes,
whether they may, whether another site made them come, and turns errors into pages.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from kautopsy.fleet.database import Database
from kautopsy.fleet.intake.upload import Uploads
from kautopsy.fleet.nouns import Role
from kautopsy.fleet.settings import Settings
from kautopsy.model.errors import KautopsyError, UnreadableError
from kautopsy.web.config import WebConfig
from kautopsy.web.passwords import Attempts
from kautopsy.web.security import Identity, address_of, identify, is_forged
from kautopsy.web.templates import Templates

MOST_FORM = 1 << 20
"""Bytes of a form."""
_MOST_NUMBER = (1 << 31) - 1


@dataclass(frozen=True)
class Site:
    """What all pages share."""

    database: Database
    config: WebConfig
    settings: Settings
    uploads: Uploads
    templates: Templates
    attempts: Attempts


@dataclass(frozen=True)
class Context:
    """One request.

    :param who: None on pages that need nobody
    :param form: the fields of a POST, the last of each name
    """

    site: Site
    request: Request
    who: Identity | None
    form: Mapping[str, str]

    @property
    def database(self) -> Database:
        """The store."""
        return self.site.database

    @property
    def name(self) -> str:
        """Who to write into the audit log."""
        return self.who.name if self.who is not None else ""

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return address_of(self.request, self.site.config)

    def may(self, role: Role) -> bool:
        """Whether who asks may what ``role`` may."""
        return self.who is not None and self.who.role.may(role)

    def query(self, name: str) -> str:
        """A parameter of the address; '' where there is none."""
        return self.request.query_params.get(name, "")

    def number(self, name: str, *, default: int = 0, most: int = _MOST_NUMBER) -> int:
        """A parameter of the address, or of the path, or of the form, as a natural number.

        :raises UnreadableError: it is none (``no-such-page``)
        """
        text = str(self.request.path_params.get(name, self.form.get(name, self.query(name))))
        if not text:
            return default
        # str.isdigit() takes digits of other scripts, and superscripts, too.
        if not text.isascii() or not text.isdigit() or int(text[:12]) > most or len(text) > 12:
            raise UnreadableError("is no number here", thing=name, slug="no-such-page")
        return int(text)

    def render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page."""
        text = self.site.templates.render(
            template,
            who=self.who,
            csrf=self.who.session.csrf if self.who and self.who.session else "",
            done=self.query("done"),
            path=self.request.url.path,
            config=self.site.config,
            **values,
        )
        return HTMLResponse(text, status)

    def go(self, path: str, done: str = "") -> Response:
        """Send the browser to another page of ours, which says that something was done."""
        return RedirectResponse(path + (f"?done={done}" if done else ""), 303)


Page = Callable[[Context], Response]


def endpoint(
    page: Page, needed: Role | None = Role.VIEWER
) -> Callable[[Request], Awaitable[Response]]:
    """A page for Starlette.

    :param needed: what who asks must be; None: nobody in particular
    """

    async def serve(request: Request) -> Response:
        form = await read_form(request) if request.method == "POST" else {}
        return await run_in_threadpool(_answer, page, request, needed, form)

    return serve


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, files left out.

    :raises HTTPException: it is larger than :data:`MOST_FORM`
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_FORM:
            raise HTTPException(413, "The form is too large.")
    if kind != "application/x-www-form-urlencoded":
        return {}
    try:
        pairs = urllib.parse.parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=2000
        )
    except (ValueError, UnicodeDecodeError):
        raise HTTPException(400, "The form cannot be read.") from None
    return dict(pairs)


def _answer(page: Page, request: Request, needed: Role | None, form: dict[str, str]) -> Response:
    site: Site = request.app.state.site
    who = identify(request, site.database, site.config)
    context = Context(site, request, who, form)
    if needed is not None:
        if who is None:
            return _to_login(request)
        if not who.role.may(needed):
            return error_page(context, 403, f"This is for {needed.value}s.")
        if request.method == "POST" and is_forged(request, who, form.get("csrf", ""), site.config):
            return error_page(context, 403, "This form is too old, or of another site. Try again.")
    try:
        return page(context)
    except KautopsyError as error:
        status = 404 if error.slug.startswith("no-such-") else 400
        return error_page(context, status, str(error))


def _to_login(request: Request) -> Response:
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method != "GET":
        target = "/"
    return RedirectResponse("/login?" + urllib.parse.urlencode({"next": target}), 303)


def error_page(context: Context, status: int, message: str) -> Response:
    """A page that says what went wrong."""
    return context.render("error.html", status=status, message=message, code=status)
