"""The audit log: who did what to what, from where. Every change by a person is written here."""

from __future__ import annotations

import time

from sqlalchemy import Connection

from kautopsy.fleet import schema


def write(
    connection: Connection,
    *,
    who: str,
    action: str,
    subject: str = "",
    detail: str = "",
    address: str = "",
) -> None:
    """Add a line.

    :param action: ``group-merge``, ``login-failed`` ...
    :param subject: ``group 12``, ``host web01``
    """
    connection.execute(
        schema.audit.insert().values(
            at=time.time(),
            who=who,
            action=action,
            subject=subject,
            detail=detail,
            address=address,
        )
    )
