"""Accounts, tokens, the audit log, and what the engine does."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from kautopsy.fleet import changes, migrate, queries
from kautopsy.fleet.nouns import Role
from kautopsy.model.errors import UsageError
from kautopsy.web.context import Context, Page, endpoint
from kautopsy.web.passwords import hash_password

PER_PAGE = 200
_DAY = 86400.0


def accounts(context: Context) -> Response:
    """Who may come in, and with which tokens."""
    with context.database.read() as connection:
        people = queries.people.accounts(connection)
        tokens = queries.people.tokens(connection)
    return context.render(
        "accounts.html", people=people, tokens=tokens, roles=list(Role), secret=""
    )


def add_account(context: Context) -> Response:
    """Somebody new."""
    password = context.form.get("password", "")
    with context.database.write() as connection:
        changes.people.add_account(
            connection,
            context.form.get("name", "").strip(),
            role=_role(context.form.get("role", "")),
            password_hash=hash_password(password) if password else "",
            email=context.form.get("email", "").strip(),
            by=context.name,
        )
    return context.go("/admin/accounts", "account")


def change_account(context: Context) -> Response:
    """Another role, another password, in or out."""
    password, role = context.form.get("password", ""), context.form.get("role", "")
    active = context.form.get("active", "")
    with context.database.write() as connection:
        changes.people.change_account(
            connection,
            context.form.get("name", ""),
            role=_role(role) if role else None,
            password_hash=hash_password(password) if password else None,
            active={"yes": True, "no": False}.get(active),
            by=context.name,
        )
    return context.go("/admin/accounts", "account")


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise UsageError("is no role", thing=text, slug="bad-role") from None


def add_token(context: Context) -> Response:
    """A token for a program, shown this once."""
    days = context.number("days")
    with context.database.write() as connection:
        _number, secret = changes.people.add_token(
            connection,
            name=context.form.get("name", "").strip() or "token",
            role=_role(context.form.get("role", "")),
            host=context.form.get("host", "").strip(),
            seconds=days * _DAY if days else None,
            by=context.name,
        )
    with context.database.read() as connection:
        people = queries.people.accounts(connection)
        tokens = queries.people.tokens(connection)
    return context.render(
        "accounts.html", people=people, tokens=tokens, roles=list(Role), secret=secret
    )


def revoke_token(context: Context) -> Response:
    """Let a token be of no more use."""
    with context.database.write() as connection:
        changes.people.revoke_token(connection, context.number("token"), by=context.name)
    return context.go("/admin/accounts", "revoked")


def audit(context: Context) -> Response:
    """Who did what."""
    offset = context.number("offset")
    with context.database.read() as connection:
        rows = queries.people.audit(connection, limit=PER_PAGE + 1, offset=offset)
    return context.render(
        "audit.html", rows=rows[:PER_PAGE], more=len(rows) > PER_PAGE, offset=offset,
        per_page=PER_PAGE,
    )  # fmt: skip


def engine(context: Context) -> Response:
    """The store in figures, the analyses, those that failed."""
    with context.database.read() as connection:
        figures = queries.work.status(
            connection, database=context.database.url, revision=migrate.head()
        )
        jobs = queries.work.jobs(connection)
    return context.render("engine.html", figures=figures, jobs=jobs)


def _admin(path: str, page: Page, method: str = "GET") -> Route:
    return Route(path, endpoint(page, Role.ADMIN), methods=[method])


ROUTES = [
    _admin("/admin/accounts", accounts),
    _admin("/admin/accounts", add_account, "POST"),
    _admin("/admin/accounts/change", change_account, "POST"),
    _admin("/admin/tokens", add_token, "POST"),
    _admin("/admin/tokens/{token}/revoke", revoke_token, "POST"),
    _admin("/admin/audit", audit),
    Route("/engine", endpoint(engine), methods=["GET"]),
]
