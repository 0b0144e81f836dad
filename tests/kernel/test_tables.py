"""What every table declares."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from kautopsy.kernel.manual import manual
from kautopsy.kernel.table import Table, tables
from kautopsy.kernel.tasks import plain

ALL = tables()
MANUAL = Path(__file__).parents[2] / "docs" / "tables.md"


def test_the_tables_that_others_count_on_are_there() -> None:
    names = {one.name for one in ALL}
    assert {
        "tasks", "cpus", "backtraces", "locks", "waits", "waits_for", "spinlocks", "zones",
        "slab_caches", "processes", "hugepages", "modules", "taints", "interrupts", "softirqs",
        "timers", "works", "rcu", "block_requests", "mounts", "net_devices", "log",
    } <= names  # fmt: skip


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_a_table_says_what_it_holds(table: Table[msgspec.Struct]) -> None:
    assert table.doc.endswith(".")
    assert re.fullmatch(r"[a-z_]+", table.name)
    assert len({column.name for column in table.columns}) == len(table.columns)
    for column in table.columns:
        assert column.doc
        assert column.type in (int, float, bool, str)
        assert column.unit in ("", "ns", "bytes", "pages", "address")


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_rows_cannot_be_changed(table: Table[msgspec.Struct]) -> None:
    assert table.row.__struct_config__.frozen


@pytest.mark.parametrize(
    ("compiled", "written"),
    [
        ("rwsem_down_write_slowpath", "rwsem_down_write_slowpath"),
        ("__mutex_lock.constprop.0", "__mutex_lock"),
        ("watchdog.cold", "watchdog"),
        ("do_it.isra.0.part.1", "do_it"),
    ],
)
def test_what_the_compiler_added_to_a_name_goes(compiled: str, written: str) -> None:
    assert plain(compiled) == written


def test_the_manual_is_what_the_tables_declare() -> None:
    assert MANUAL.read_text() == manual()
