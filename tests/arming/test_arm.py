"""Arming machines on disk: what changes, that it is enough, and that it can be taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from kautopsy.arming.doctor import examine
from kautopsy.arming.facts import gather
from kautopsy.cli.main import main
from kautopsy.host.tree import TreeHost
from kautopsy.model.readiness import CheckStatus

from .trees import TREES, state_of


@pytest.mark.parametrize("crashkernel", ["", "crashkernel=auto", "crashkernel=64M"])
@pytest.mark.parametrize("name", TREES)
def test_a_tree_is_armed_and_disarmed(
    name: str, crashkernel: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    TREES[name](root, crashkernel)
    before = state_of(root)
    target = f"tree:{root}"
    assert main(["arm", target]) == 0
    assert state_of(root) == before, "a plan changes nothing"
    assert main(["arm", target, "--apply", "--yes"]) == 0
    armed = state_of(root)
    assert armed != before
    capsys.readouterr()
    assert main(["arm", target, "--json"]) == 0
    assert '"steps": []' in capsys.readouterr().out
    checks = {check.id: check for check in examine(gather(TreeHost(root))).checks}
    bad = {
        check.id: check.summary
        for check in checks.values()
        if check.status in (CheckStatus.FAIL, CheckStatus.WARN)
    }
    assert bad == {}
    assert checks["next-boot-entry"].status is CheckStatus.PASS
    assert checks["future-kernels"].status is CheckStatus.PASS
    assert main(["arm", target, "--apply", "--yes"]) == 0
    assert state_of(root) == armed, "a second time changes nothing"
    assert main(["disarm", target, "--yes"]) == 0
    assert state_of(root) == before
