"""`kautopsy lab list` and `kautopsy lab run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kautopsy.cli.main import main


def test_list_of_an_empty_cache_and_of_one_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["lab", "list"]) == 0
    assert capsys.readouterr().out.count("not fetched") == 4
    root = tmp_path / "kautopsy/lab/kernels/6.1"
    root.mkdir(parents=True)
    (root / "kernel.json").write_text(
        '{"release": "6.1.0-50", "package": "linux-image-6.1.0-50", "version": "6.1.176-1"}'
    )
    (root / "vmlinux").write_bytes(b"x" * 1_000_000)
    assert main(["lab", "list", "--json"]) == 0
    shelf = json.loads(capsys.readouterr().out)
    assert shelf["schema"] == "kautopsy.lab/1"
    kernels = {kernel["series"]: kernel for kernel in shelf["kernels"]}
    assert list(kernels) == ["5.10", "6.1", "6.12", "7.2"]
    assert kernels["6.1"]["release"] == "6.1.0-50"
    assert kernels["6.1"]["debuginfo"] is True
    assert kernels["6.1"]["size_bytes"] >= 1_000_000
    assert kernels["5.10"]["release"] is None


def test_an_unknown_kernel_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "run", "--kernel", "2.6"]) == 2
    assert "choose one of 5.10, 6.1, 6.12, 7.2" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--cpus", "0"], ["--memory", "-1"], ["--memory", "1G"]])
def test_impossible_machines_are_usage_errors(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in (["drill"], ["lab", "run"]):
        with pytest.raises(SystemExit) as caught:
            main([*verb, *words])
        assert caught.value.code == 2
        assert "is no whole number above 0" in capsys.readouterr().err


@pytest.mark.guest
def test_run_without_a_terminal_boots_says_so_and_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["lab", "run", "--kernel", "6.12", "--module", "nbd"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("6.12.")
    assert " armed in " in said


@pytest.mark.guest
def test_run_without_a_crash_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "run", "--crashkernel", "", "--cpus", "1", "--memory", "512"]) == 0
    assert " booted in " in capsys.readouterr().out
