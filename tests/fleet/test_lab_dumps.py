"""Dumps of guests whose truth is known, with the consoles they died on, through the whole fleet."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fleet import dask_cluster

from kautopsy.fleet.database import Database
from kautopsy.fleet.files import DataFolder
from kautopsy.fleet.intake.ingest import Ingest
from kautopsy.fleet.queries import crashes, groups, work
from kautopsy.fleet.settings import Settings
from kautopsy.fleet.upkeep import analyse_waiting, refresh
from kautopsy.lab.specimen import Specimen

SERIES = ("5.10", "6.1", "6.12")


@pytest.mark.guest
def test_console_and_dump_of_three_machines_are_three_crashes_of_one_group(
    tmp_path: Path, lab_vmcore: Callable[[str], Specimen]
) -> None:
    specimens = {f"web-{series}": lab_vmcore(series) for series in SERIES}
    for host, specimen in specimens.items():
        folder = tmp_path / "fetched" / host / "var" / "crash"
        folder.mkdir(parents=True)
        for name in ("vmcore", "console.log"):
            shutil.copy(Path(specimen.folder) / name, folder / name)
        (folder / "broken").write_bytes((folder / "vmcore").read_bytes()[:50_000])
    data = DataFolder(tmp_path / "data")
    with (
        Database.open(str(tmp_path / "fleet.sqlite")) as store,
        dask_cluster.cluster(2) as cluster,
    ):
        tally = Ingest(store).paths([tmp_path / "fetched"])
        assert (tally.new_crashes, tally.dumps) == (3, 6)
        outcomes = analyse_waiting(store, data, Settings(scheduler=cluster.address))
        assert outcomes == {"ok": 3, "unreadable": 3}
        refresh(store)
        with store.read() as connection:
            (group,) = groups.ranked(connection).groups
            assert (group.kind, group.crashes, group.hosts) == ("operator-sysrq", 3, 3)
            failed = work.jobs(connection, failed=True)
            assert {job.name for job in failed} == {"broken"}
            assert all("truncated: " in job.detail for job in failed)
            for row in crashes.newest(connection).crashes:
                # The dump knows when, and the console's text of it is no second crash.
                assert row.origin == "dump" and row.at_known
                detail = crashes.detail(connection, row.id)
                assert detail.report is not None and detail.report.system is not None
                assert detail.report.system.release == specimens[row.host].facts.release
                assert row.release == specimens[row.host].facts.release
                assert detail.source is not None and detail.source.name == "vmcore"
