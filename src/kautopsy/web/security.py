"""Who is asking, what they may do, and what a browser may do with the answer."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kautopsy.fleet import changes, queries
from kautopsy.fleet.database import Database
from kautopsy.fleet.nouns import Role, Session, TokenRow
from kautopsy.web.config import WebConfig

COOKIE = "kautopsy"
_USED_SECONDS = 60.0
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Identity:
    """Who is asking: a person with a session, or a program with a token.

    :param host: of a token of :attr:`Role.HOST`: the only host it speaks for
    """

    name: str
    role: Role
    host: str = ""
    session: Session | None = None


def address_of(request: Request, config: WebConfig) -> str:
    """The client's address; behind a trusted proxy the last one that it added."""
    peer = request.client.host if request.client else ""
    if peer in config.trusted_proxies and config.proxy_header:
        forwarded = request.headers.get("x-forwarded-for", "")
        return forwarded.rpartition(",")[2].strip() or peer
    return peer


def proxied_name(request: Request, config: WebConfig) -> str:
    """Who the proxy says is logged in; empty where there is none, or it is not trusted."""
    if not config.proxy_header:
        return ""
    peer = request.client.host if request.client else ""
    if peer not in config.trusted_proxies:
        return ""
    said = request.headers.getlist(config.proxy_header)
    # Twice is once too often: a proxy that adds its own did not strip the browser's.
    return said[0].strip() if len(said) == 1 else ""


def identify(request: Request, database: Database, config: WebConfig) -> Identity | None:
    """Who is asking; None where nobody can be told.

    A token in ``Authorization: Bearer`` wins over the cookie, so that a browser's cookie never
    adds rights to a program's request. A session of somebody else than the proxy now names is
    none.
    """
    header = request.headers.get("authorization", "")
    if header:
        scheme, _, secret = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        return _by_token(database, secret.strip())
    secret = request.cookies.get(COOKIE, "")
    if not secret:
        return None
    with database.read() as connection:
        session = queries.people.session(connection, secret)
    if session is None:
        return None
    name = proxied_name(request, config)
    if name and name != session.account.name:
        return None
    return Identity(session.account.name, session.account.role, session=session)


def _by_token(database: Database, secret: str) -> Identity | None:
    with database.read() as connection:
        token = queries.people.token(connection, secret)
    if token is None:
        return None
    _note_use(database, token)
    return Identity(f"token {token.name}", token.role, host=token.host)


def _note_use(database: Database, token: TokenRow) -> None:
    # Once a minute is enough to know; every request would be a write each.
    if token.last_used is None or token.last_used < time.time() - _USED_SECONDS:
        with database.write() as connection:
            changes.people.use_token(connection, token.id)


def is_forged(request: Request, who: Identity, given: str, config: WebConfig) -> bool:
    """Whether a request that changes something was made by another site's page.

    A token cannot be sent by another site; a cookie can, so the form (or the header
    ``X-CSRF-Token``) has to repeat the session's secret, and the origin must be ours.
    """
    if who.session is None:
        return False
    return is_foreign(request, config) or not hmac.compare_digest(
        given.encode(), who.session.csrf.encode()
    )


def is_foreign(request: Request, config: WebConfig) -> bool:
    """Whether the browser says that another origin made the request."""
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    ours = {urlsplit(config.public_url).netloc, request.headers.get("host", "")}
    return urlsplit(origin).netloc not in ours


class SecurityHeaders:
    """Puts the headers on every answer that does not bring its own.

    :param secure: people come over TLS: they shall not come without it any more
    """

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._headers = dict(_HEADERS)
        if secure:
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)
