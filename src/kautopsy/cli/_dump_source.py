"""DUMP of the verbs that read tables: a vmcore, a directory with one in it, or "local"."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.model.errors import UsageError

if TYPE_CHECKING:
    from kautopsy.shell.sql_source import DumpSource


def dump_source(path: Path, arguments: argparse.Namespace) -> DumpSource:
    """What is read at ``path``, with --vmlinux, --debuginfo and --time-limit of ``arguments``.

    :raises UsageError: it is a log
    """
    from kautopsy.shell.sql_source import DumpSource
    from kautopsy.triage.isolation import Limits
    from kautopsy.triage.target import find_target

    name = str(path)
    limits = Limits(seconds=arguments.time_limit)
    if name == "local":
        return DumpSource(name, path, limits=limits, live=True)
    target = find_target(path)
    if target.dump is None:
        raise UsageError("is no dump", thing=name, hint="of logs there are no tables")
    return DumpSource(
        name,
        target.dump,
        vmlinux=arguments.vmlinux,
        debuginfo=arguments.debuginfo == "auto",
        limits=limits,
    )
