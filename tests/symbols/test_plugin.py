from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from kautopsy.lab.specimen import Specimen
from kautopsy.symbols import plugin

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_declares_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["drgn.plugins"] == {"kautopsy": plugin.__name__}
    assert callable(plugin.drgn_prog_set)


@pytest.mark.guest
def test_plain_drgn_lists_tasks(lab_vmcore: Callable[[str], Specimen]) -> None:
    environment = dict(os.environ)
    if not metadata.entry_points(group="drgn.plugins", name="kautopsy"):
        environment["DRGN_PLUGINS"] = f"kautopsy={plugin.__name__}"  # a checkout, not installed
    done = subprocess.run(
        [
            *(sys.executable, "-m", "drgn", "-q", "-c", str(lab_vmcore("6.1").vmcore)),
            *("-e", "for task in for_each_task(prog): print(task.comm.string_().decode())"),
        ],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=True,
    )
    assert {"init", "kthreadd", "sleep"} <= set(done.stdout.split())
    assert "warning" not in done.stderr  # nothing is amiss: no lines are what one must expect
