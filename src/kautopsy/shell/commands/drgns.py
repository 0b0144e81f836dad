"""Commands that are complete in drgn's crash mode, declared together.

Each has drgn's own options, help and ``--drgn``.
"""

from __future__ import annotations

import argparse

from kautopsy.shell.registry import Lines, PerTask, command
from kautopsy.shell.session import Session

COMPLETE = {
    "ascii": ("translate a hexadecimal string to ASCII", "value ...", PerTask.NO, False),
    "btop": ("bytes to page", "address ...", PerTask.NO, True),
    "eval": ("evaluate", "[-b][-l] (expression) | value", PerTask.NO, False),
    "ptob": ("page to bytes", "page_number ...", PerTask.NO, True),
    "swap": ("swap device information", "", PerTask.NO, True),
    "waitq": ("list tasks queued on a wait queue",
              "[symbol] | [struct.member struct_addr] | [address]", PerTask.NO, False),
}  # fmt: skip


def _declare(name: str, summary: str, usage: str, per_task: PerTask, table: bool) -> None:
    @command(name, summary, usage=usage, raw=True, per_task=per_task, table=table)
    def run(session: Session, arguments: argparse.Namespace) -> Lines | None:
        return None


for _name, (_summary, _usage, _per_task, _table) in COMPLETE.items():
    _declare(_name, _summary, _usage, _per_task, _table)
