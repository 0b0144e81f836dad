"""A machine in namespaces for every test that wants one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rack.machine import Machine, living, possible
from tests.rack.samples import small_dump


@pytest.fixture
def machine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    if not possible():
        pytest.skip("needs root, unshare and an sshd")
    root = tmp_path_factory.mktemp("rack")
    monkeypatch.setenv("XDG_STATE_HOME", str(root / "state"))
    monkeypatch.setenv("KAUTOPSY_INVENTORY", str(root / "inventory.toml"))
    with living(root, small_dump(root)) as running:
        write_inventory(running)
        yield running


def write_inventory(machine: Machine, more: str = "") -> Path:
    """An inventory that knows the machine as ``db``."""
    path = machine.root / "inventory.toml"
    options = ", ".join(f'"{option}"' for option in machine.options)
    path.write_text(
        f'[hosts.db]\nssh = "root@127.0.0.1"\noptions = [{options}]\n'
        f'dumps = ["{machine.crash_folder}"]\n{more}'
    )
    return path
