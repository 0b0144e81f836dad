"""Accounts, sessions, tokens; notices that were sent.

Secrets come in as hashes or are made here and returned once; the store keeps SHA-256 of random
secrets and argon2 of passwords.
"""

from __future__ import annotations

import secrets
import time

from sqlalchemy import Connection, delete, func, select, update

from kautopsy.fleet import schema
from kautopsy.fleet.changes import audit
from kautopsy.fleet.nouns import Role
from kautopsy.fleet.queries.people import digest
from kautopsy.fleet.upsert import insert_one
from kautopsy.model.errors import UnreadableError, UsageError

_A = schema.account.c
_T = schema.token.c


def add_account(
    connection: Connection,
    name: str,
    *,
    role: Role,
    password_hash: str = "",
    email: str = "",
    by: str,
) -> int:
    """A person who may come in: the account's number.

    :param password_hash: argon2's; empty for who comes through the proxy (OIDC)
    :raises UsageError: the name is taken, empty, or the role is no person's
    """
    if not name.strip() or role is Role.HOST:
        raise UsageError("is no account", thing=name or "(no name)", slug="bad-account")
    if connection.scalar(select(_A.id).where(_A.name == name)) is not None:
        raise UsageError("there is one of that name", thing=name, slug="account-exists")
    audit.write(
        connection, who=by, action="account-add", subject=f"account {name}", detail=role.value
    )
    return insert_one(
        connection,
        schema.account,
        name=name,
        password=password_hash,
        role=role.value,
        email=email,
        created=time.time(),
    )


def change_account(
    connection: Connection,
    name: str,
    *,
    by: str,
    role: Role | None = None,
    password_hash: str | None = None,
    active: bool | None = None,
) -> None:
    """Change what is given; whoever is shut out or has a new password is logged out everywhere.

    :raises UnreadableError: there is no such account
    :raises UsageError: nobody could administer any more
    """
    number = connection.scalar(select(_A.id).where(_A.name == name))
    if number is None:
        raise UnreadableError("there is no such account", thing=name, slug="no-such-account")
    values: dict[str, object] = {}
    if role is not None:
        values["role"] = role.value
    if password_hash is not None:
        values["password"] = password_hash
    if active is not None:
        values["active"] = active
    if not values:
        return
    connection.execute(update(schema.account).where(_A.id == number).values(**values))
    admins = connection.scalar(
        select(func.count())
        .select_from(schema.account)
        .where(_A.role == Role.ADMIN.value, _A.active.is_(True))
    )
    if not admins:
        raise UsageError("is the last administrator", thing=name, slug="last-admin")
    if password_hash is not None or active is False:
        end_sessions(connection, name)
    audit.write(
        connection,
        who=by,
        action="account-change",
        subject=f"account {name}",
        detail=", ".join(sorted(values)),
    )


def start_session(
    connection: Connection, name: str, *, seconds: float, address: str = ""
) -> tuple[str, str]:
    """Log a person in: the cookie's secret, and the token against cross-site requests.

    :raises UnreadableError: there is no such account, or it may not come in
    """
    number = connection.scalar(select(_A.id).where(_A.name == name, _A.active.is_(True)))
    if number is None:
        raise UnreadableError("there is no such account", thing=name, slug="no-such-account")
    now = time.time()
    secret, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    connection.execute(delete(schema.session).where(schema.session.c.expires <= now))
    connection.execute(
        schema.session.insert().values(
            id=digest(secret),
            account_id=number,
            csrf=csrf,
            address=address,
            created=now,
            expires=now + seconds,
        )
    )
    connection.execute(update(schema.account).where(_A.id == number).values(last_login=now))
    audit.write(connection, who=name, action="login", address=address)
    return secret, csrf


def end_session(connection: Connection, secret: str) -> None:
    """Log out."""
    connection.execute(delete(schema.session).where(schema.session.c.id == digest(secret)))


def end_sessions(connection: Connection, name: str) -> None:
    """Log a person out everywhere."""
    number = select(_A.id).where(_A.name == name).scalar_subquery()
    connection.execute(delete(schema.session).where(schema.session.c.account_id == number))


def add_token(
    connection: Connection,
    *,
    name: str,
    role: Role,
    host: str = "",
    seconds: float | None = None,
    by: str,
) -> tuple[int, str]:
    """A token for a program: its number, and the token, which is shown this once.

    :param host: for :attr:`Role.HOST`: the only host whose reports it may send
    :param seconds: until it expires; None: never
    :raises UsageError: a host's token without a host
    """
    if (role is Role.HOST) != bool(host):
        raise UsageError(
            "a host's token, and only that, names a host", thing=name, slug="bad-token"
        )
    secret = "kau_" + secrets.token_urlsafe(32)
    now = time.time()
    number = insert_one(
        connection,
        schema.token,
        hash=digest(secret),
        name=name,
        role=role.value,
        host_name=host,
        created_by=by,
        created=now,
        expires=now + seconds if seconds is not None else None,
    )
    audit.write(
        connection, who=by, action="token-add", subject=f"token {number}", detail=host or role.value
    )
    return number, secret


def use_token(connection: Connection, token_id: int) -> None:
    """Note that a token was used."""
    connection.execute(update(schema.token).where(_T.id == token_id).values(last_used=time.time()))


def revoke_token(connection: Connection, token_id: int, *, by: str) -> None:
    """Let a token be of no more use.

    :raises UnreadableError: there is none
    """
    done = connection.execute(
        update(schema.token)
        .where(_T.id == token_id, _T.revoked.is_(None))
        .values(revoked=time.time())
    )
    if not done.rowcount:
        raise UnreadableError("there is no such token", thing=str(token_id), slug="no-such-token")
    audit.write(connection, who=by, action="token-revoke", subject=f"token {token_id}")


def notice_sent(connection: Connection, notice_id: int, *, error: str = "") -> None:
    """A notice was sent; or it could not be (``error``), and will be tried again."""
    table = schema.notice
    values: dict[str, object] = {"attempts": table.c.attempts + 1}
    if error:
        values["detail"] = error
    else:
        values["sent"] = time.time()
    connection.execute(update(table).where(table.c.id == notice_id).values(**values))
