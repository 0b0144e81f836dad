"""An operation of the API: declared once, served and described from that.

An answer is a frozen struct as JSON; an error is ``{"error": {"slug", "what", "thing", "hint"}}``
with a status: 400 what was sent makes no sense, 401 nobody, 403 not allowed, 404 there is no such
thing, 409 not now, 413 too large, 507 no room.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kautopsy.fleet.nouns import Role
from kautopsy.model.base import Noun, from_json
from kautopsy.model.errors import KautopsyError, RefusedError, UnreadableError, UsageError
from kautopsy.web.context import Context, Site
from kautopsy.web.security import identify, is_forged

PREFIX = "/api/v1"
MOST_BODY = 24 << 20
"""Bytes of a body that is no upload."""
_STATUS = {
    "too-large": 413,
    "bomb": 413,
    "too-many-files": 413,
    "no-room": 507,
    "not-your-host": 403,
    "wrong-checksum": 422,
}
_S = TypeVar("_S", bound=msgspec.Struct)


class Error(Noun, frozen=True, kw_only=True):
    """What went wrong: a name for programs, words for people."""

    slug: str
    what: str
    thing: str = ""
    hint: str = ""


class Problem(Noun, frozen=True, kw_only=True):
    """The answer of an operation that failed."""

    error: Error


class Done(Noun, frozen=True, kw_only=True):
    """The answer of an operation that changed something.

    :param id: of the group, note or link that came of it
    """

    id: int


@dataclass(frozen=True)
class Parameter:
    """A parameter of the address."""

    name: str
    doc: str
    number: bool = False


@dataclass(frozen=True)
class Call:
    """One call: the request as pages see it, and its body."""

    context: Context
    body: bytes

    def read(self, kind: type[_S]) -> _S:
        """The body as a struct.

        :raises UnreadableError: it is none (``bad-document``)
        """
        try:
            return from_json(self.body, kind)
        except UnreadableError as error:
            # Not by the name of our type, which nobody who sends it knows.
            raise UnreadableError(
                str(error.__cause__), thing="the body", slug="bad-document"
            ) from error

    def host(self, named: str) -> str:
        """The host that is spoken of: a host's token speaks for its own only.

        :raises RefusedError: it spoke of another (``not-your-host``)
        """
        who = self.context.who
        assert who is not None
        if who.role is not Role.HOST:
            return named
        if named and named != who.host:
            raise RefusedError(f"this token is of {who.host}", thing=named, slug="not-your-host")
        return who.host


@dataclass(frozen=True)
class Operation:
    """What is asked how, by whom, and answered with what.

    :param path: below ``/api/v1``, with ``{names}``
    :param body: what the body holds; None: nothing
    """

    method: str
    path: str
    doc: str
    answer: type[msgspec.Struct]
    run: Callable[[Call], msgspec.Struct]
    role: Role = Role.VIEWER
    body: type[msgspec.Struct] | None = None
    parameters: tuple[Parameter, ...] = field(default=())
    status: int = 200

    def route(self) -> Route:
        """The route that serves it."""
        return Route(PREFIX + self.path, self._endpoint(), methods=[self.method])

    def _endpoint(self) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            try:
                body = await read_body(request, MOST_BODY)
            except KautopsyError as error:
                return problem(error)
            return await run_in_threadpool(self._serve, request, body)

        return serve

    def _serve(self, request: Request, body: bytes) -> Response:
        try:
            context = admit(request, self.role, changes=self.method != "GET")
            answer = self.run(Call(context, body))
        except KautopsyError as error:
            return problem(error)
        return answered(answer, self.status)


class NotAdmittedError(KautopsyError):
    """Nobody asks, or somebody who may not.

    :ivar status: of HTTP
    """

    def __init__(self, what: str, *, slug: str, status: int, hint: str = "") -> None:
        super().__init__(what, slug=slug, hint=hint)
        self.status = status


def admit(request: Request, role: Role, *, changes: bool) -> Context:
    """Who asks, if they may.

    :param changes: something is changed, so a cookie alone is not enough
    :raises NotAdmittedError: 401 or 403
    """
    site: Site = request.app.state.site
    who = identify(request, site.database, site.config)
    if who is None:
        raise NotAdmittedError(
            "who is asking?", slug="not-logged-in", status=401, hint="Authorization: Bearer TOKEN"
        )
    if not who.role.may(role):
        raise NotAdmittedError(f"this is for {role.value}s", slug="not-allowed", status=403)
    if changes and is_forged(request, who, request.headers.get("x-csrf-token", ""), site.config):
        raise NotAdmittedError(
            "the request may be of another site", slug="forged", status=403,
            hint="use a token, or send X-CSRF-Token",
        )  # fmt: skip
    return Context(site, request, who, {})


def answered(answer: msgspec.Struct, status: int = 200) -> Response:
    """A struct as JSON."""
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


def problem(error: KautopsyError, status: int | None = None) -> Response:
    """An error as JSON, with the status that fits."""
    said = Error(slug=error.slug, what=error.what, thing=error.thing, hint=error.hint)
    status = status or _status_of(error)
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    body = msgspec.json.encode(Problem(error=said))
    return Response(body, status, headers, media_type="application/json")


def _status_of(error: KautopsyError) -> int:
    if isinstance(error, NotAdmittedError):
        return error.status
    if error.slug.startswith("no-such-"):
        return 404
    return _STATUS.get(error.slug, 409 if isinstance(error, RefusedError) else 400)


async def read_body(request: Request, most: int) -> bytes:
    """The body, up to ``most`` bytes.

    :raises RefusedError: it is larger (``too-large``)
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise RefusedError(f"more than {most} bytes", thing="body", slug="too-large")
    return bytes(body)


def number(value: Any, name: str) -> int:
    """A natural number of a body.

    :raises UsageError: it is none
    """
    if not isinstance(value, int) or value < 0:
        raise UsageError("is no number", thing=name, slug="bad-number")
    return value
