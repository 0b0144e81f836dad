"""Logging in and out, and one's own password."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kautopsy.fleet import changes, queries
from kautopsy.model.errors import UsageError
from kautopsy.web.context import Context, endpoint, error_page
from kautopsy.web.passwords import hash_password, matches
from kautopsy.web.security import COOKIE, is_foreign, proxied_name


def form(context: Context) -> Response:
    """The log-in form; who comes through the proxy needs none."""
    if proxied_name(context.request, context.site.config):
        return _through_proxy(context)
    return context.render("login.html", next=_ours(context.query("next")), failed="")


def login(context: Context) -> Response:
    """Name and password."""
    # No session yet, so no secret to repeat: the origin has to do, against being logged in as
    # somebody else by another site's page.
    if is_foreign(context.request, context.site.config):
        return error_page(context, 403, "This form is of another site.")
    name = context.form.get("name", "").strip()
    target = _ours(context.form.get("next", ""))
    attempts = context.site.attempts
    if attempts.blocked(name, context.address):
        return context.render(
            "login.html", status=429, next=target,
            failed="Too many wrong guesses. Wait a quarter of an hour.",
        )  # fmt: skip
    with context.database.read() as connection:
        kept = queries.people.password_hash(connection, name)
    if not matches(kept, context.form.get("password", "")):
        attempts.failed(name, context.address)
        with context.database.write() as connection:
            changes.audit.write(
                connection, who=name[:200], action="login-failed", address=context.address
            )
        return context.render(
            "login.html", status=401, next=target, failed="Name or password is wrong."
        )
    attempts.succeeded(name)
    return _start(context, name, target)


def _through_proxy(context: Context) -> Response:
    config = context.site.config
    name = proxied_name(context.request, config)
    with context.database.write() as connection:
        account = queries.people.account(connection, name)
        if account is None:
            changes.people.add_account(connection, name, role=config.proxy_role, by="proxy")
        elif not account.active:
            return error_page(context, 403, f"The account {name} is closed.")
    return _start(context, name, _ours(context.query("next")))


def _start(context: Context, name: str, target: str) -> Response:
    config = context.site.config
    seconds = config.session_hours * 3600
    with context.database.write() as connection:
        secret, _csrf = changes.people.start_session(
            connection, name, seconds=seconds, address=context.address
        )
    response = RedirectResponse(target, 303)
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(seconds),
        httponly=True,
        secure=config.secure,
        samesite="lax",
    )
    return response


def logout(context: Context) -> Response:
    """End this session."""
    with context.database.write() as connection:
        changes.people.end_session(connection, context.request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


def account(context: Context) -> Response:
    """One's own account."""
    return context.render("account.html")


def change_password(context: Context) -> Response:
    """Change one's own password, which ends one's sessions."""
    assert context.who is not None
    name = context.who.name
    with context.database.read() as connection:
        kept = queries.people.password_hash(connection, name)
    if not matches(kept, context.form.get("old", "")):
        raise UsageError("is wrong", thing="old password", slug="wrong-password")
    hashed = hash_password(context.form.get("new", ""))
    with context.database.write() as connection:
        changes.people.change_account(connection, name, password_hash=hashed, by=name)
    return _start(context, name, "/account?done=password")


def _ours(target: str) -> str:
    """A path of ours to go on to: never another site's address."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or not target.startswith("/") or target[1:2] in ("/", "\\"):
        return "/"
    return target


ROUTES = [
    Route("/login", endpoint(form, None), methods=["GET"]),
    Route("/login", endpoint(login, None), methods=["POST"]),
    Route("/logout", endpoint(logout), methods=["POST"]),
    Route("/account", endpoint(account), methods=["GET"]),
    Route("/account/password", endpoint(change_password), methods=["POST"]),
]
