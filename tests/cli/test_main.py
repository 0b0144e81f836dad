"""The command as a user meets it: help, errors, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kautopsy.cli.main import main, verbs


def kautopsy(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kautopsy", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def test_help_names_every_verb() -> None:
    done = kautopsy("--help")
    assert done.returncode == 0
    for verb in verbs():
        assert f"    {verb} " in done.stdout
    assert {"report", "drill", "lab", "symbols"} <= set(verbs())


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert f"kautopsy {verb}" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from kautopsy.cli.main import build_parser; build_parser();"
        "heavy = {'drgn', 'rich', 'sqlalchemy', 'capstone', 'asyncio'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["report"], ["report", "--nonsense"]])
def test_usage_errors_exit_2(arguments: list[str]) -> None:
    done = kautopsy(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_bug_of_ours_is_one_line_and_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(*_arguments: object, **_keywords: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("kautopsy.triage.isolation.analyse", broken)
    (tmp_path / "vmcore").write_bytes(b"\x7fELF")
    assert main(["report", str(tmp_path / "vmcore")]) == 70
    captured = capsys.readouterr().err
    assert captured.startswith("kautopsy: bug: RuntimeError: two\\nlines (")
    assert captured.count("\n") == 1
