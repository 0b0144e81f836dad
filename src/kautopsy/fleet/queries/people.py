"""Accounts, sessions, tokens, the audit log, and what there is to tell people.

Secrets are kept as hashes: a session and a token by SHA-256 (:func:`digest`, they are random), a
password by argon2 (whoever logs people in compares it).
"""

from __future__ import annotations

import hashlib
import time

from sqlalchemy import Connection, func, select

from kautopsy.fleet import schema
from kautopsy.fleet.database import as_struct
from kautopsy.fleet.nouns import Account, AuditRow, Notice, Session, TokenRow

_A = schema.account.c
_ACCOUNT = (_A.id, _A.name, _A.role, _A.email, _A.active, _A.created, _A.last_login)
_T = schema.token.c
_TOKEN = (
    _T.id,
    _T.name,
    _T.role,
    _T.host_name.label("host"),
    _T.created_by,
    _T.created,
    _T.expires,
    _T.revoked,
    _T.last_used,
)


def digest(secret: str) -> str:
    """The SHA-256 by which a random secret is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


def account(connection: Connection, name: str) -> Account | None:
    """A person, also one who may not come in any more (``active``)."""
    found = connection.execute(select(*_ACCOUNT).where(_A.name == name)).first()
    return as_struct(found, Account) if found is not None else None


def accounts(connection: Connection) -> tuple[Account, ...]:
    """All people, by name."""
    found = connection.execute(select(*_ACCOUNT).order_by(_A.name))
    return tuple(as_struct(one, Account) for one in found)


def password_hash(connection: Connection, name: str) -> str:
    """The argon2 hash of an active account's password; empty where there is none."""
    return connection.scalar(select(_A.password).where(_A.name == name, _A.active.is_(True))) or ""


def session(connection: Connection, secret: str, *, now: float | None = None) -> Session | None:
    """Who is logged in with the cookie ``secret``; None where it is unknown, old, or they left."""
    now = time.time() if now is None else now
    table = schema.session.c
    found = connection.execute(
        select(*_ACCOUNT, table.csrf, table.expires)
        .join(schema.session, table.account_id == _A.id)
        .where(table.id == digest(secret), table.expires > now, _A.active.is_(True))
    ).first()
    if found is None:
        return None
    return Session(account=as_struct(found, Account), csrf=found.csrf, expires=found.expires)


def token(connection: Connection, secret: str, *, now: float | None = None) -> TokenRow | None:
    """What a token may do; None where it is unknown, old or revoked."""
    now = time.time() if now is None else now
    found = connection.execute(
        select(*_TOKEN).where(_T.hash == digest(secret), _T.revoked.is_(None))
    ).first()
    if found is None or (found.expires is not None and found.expires <= now):
        return None
    return as_struct(found, TokenRow)


def tokens(connection: Connection) -> tuple[TokenRow, ...]:
    """All tokens, the newest first."""
    found = connection.execute(select(*_TOKEN).order_by(_T.id.desc()))
    return tuple(as_struct(one, TokenRow) for one in found)


def audit(connection: Connection, *, limit: int = 100, offset: int = 0) -> tuple[AuditRow, ...]:
    """Who did what, the newest first."""
    table = schema.audit
    found = connection.execute(
        select(table).order_by(table.c.id.desc()).limit(limit).offset(offset)
    )
    return tuple(as_struct(one, AuditRow) for one in found)


def notices(connection: Connection, *, limit: int = 100) -> tuple[Notice, ...]:
    """What has to be told and was not yet sent, the oldest first."""
    table, group, crash = schema.notice.c, schema.group.c, schema.crash.c
    found = connection.execute(
        select(
            table.id,
            table.kind,
            table.group_id,
            group.title,
            table.crash_id,
            func.coalesce(schema.host.c.name, "").label("host"),
            func.coalesce(schema.build.c.release, "").label("release"),
            table.at,
            table.attempts,
        )
        .join(schema.group, group.id == table.group_id)
        .outerjoin(schema.crash, crash.id == table.crash_id)
        .outerjoin(schema.host, schema.host.c.id == crash.host_id)
        .outerjoin(schema.build, schema.build.c.id == crash.build_id)
        .where(table.sent.is_(None))
        .order_by(table.id)
        .limit(limit)
    )
    return tuple(as_struct(one, Notice) for one in found)
