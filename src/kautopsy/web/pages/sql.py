"""SQL over the fleet's snapshots, for triagers; the page is there where the extra ``sql`` is."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response
from starlette.routing import Route

from kautopsy.fleet.nouns import Role
from kautopsy.model.errors import KautopsyError
from kautopsy.shell.snapshot import Snapshot, is_snapshot, open_snapshot
from kautopsy.shell.sql_guard import Query, ask
from kautopsy.shell.sql_views import VIEWS
from kautopsy.web.context import Context, endpoint

_MOST_ROWS = 1000
_SECONDS = 20.0
_MOST_SNAPSHOTS = 500


def sql(context: Context) -> Response:
    """The form; with a query, its rows."""
    query = context.form.get("query", "").strip()
    sources, notes = _snapshots(Path(context.site.config.snapshots))
    result, failed = None, ""
    if query:
        try:
            asked = ask(sources, Query(query, max_rows=_MOST_ROWS, seconds=_SECONDS))
            result = asked.result
            notes += [*asked.notes, *(str(failure.error()) for failure in asked.failures)]
        except KautopsyError as error:
            failed = str(error)
    return context.render(
        "sql.html", query=query, result=result, failed=failed, notes=list(dict.fromkeys(notes)),
        views=VIEWS, snapshots=len(sources), status=400 if failed else 200,
    )  # fmt: skip


def _snapshots(directory: Path) -> tuple[list[Snapshot], list[str]]:
    """The newest snapshots below ``directory``, named as their folders are."""
    folders = sorted(
        (path for path in directory.iterdir() if is_snapshot(path)),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    notes = []
    if len(folders) > _MOST_SNAPSHOTS:
        notes.append(f"only the newest {_MOST_SNAPSHOTS} of {len(folders)} snapshots are asked")
    found = []
    for path in folders[:_MOST_SNAPSHOTS]:
        try:
            found.append(open_snapshot(path, path.name))
        except (KautopsyError, OSError) as error:
            notes.append(f"{path.name}: {error}")
    return found, notes


ROUTES = [
    Route("/sql", endpoint(sql, Role.TRIAGER), methods=["GET"]),
    Route("/sql", endpoint(sql, Role.TRIAGER), methods=["POST"]),
]
