"""What is asked of the store: a connection and frozen structs in, frozen structs out.

``groups``      ranked by harm, one in detail, its crashes
``crashes``     one with its report and its source, the newest
``compare``     two crashes side by side
``hosts``       the list, one in detail
``readiness``   who could not dump and why, who died silently; drills
``search``      function, module, host, free text
``work``        what the engine does, what failed, figures for metrics
``people``      accounts, sessions, tokens, the audit log, notices to send

A row that does not exist is an :class:`~kautopsy.model.errors.UnreadableError` with the slug
``no-such-group``, ``no-such-crash``, ``no-such-host`` or ``no-such-drill``.
"""

from kautopsy.fleet.queries import (
    compare,
    crashes,
    groups,
    hosts,
    people,
    readiness,
    search,
    work,
)

__all__ = ["compare", "crashes", "groups", "hosts", "people", "readiness", "search", "work"]
