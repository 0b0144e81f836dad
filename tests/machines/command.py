"""The program as a user runs it on a machine of the lab."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from kautopsy.lab.machines.machine import Machine


def kautopsy(
    machine: Machine, verb: str, *arguments: str, expect: int = 0, timeout: float = 1800
) -> str:
    """Run ``kautopsy VERB HOST ARGUMENTS`` over ssh; what it printed.

    :param expect: the exit code
    """
    options = [word for option in machine.ssh_options for word in ("-o", option)]
    done = subprocess.run(
        [sys.executable, "-m", "kautopsy", verb, machine.name, *options, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == expect, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def answer(machine: Machine, verb: str, *arguments: str, expect: int = 0) -> dict[str, Any]:
    """As :func:`kautopsy` with ``--json``, parsed."""
    document = json.loads(kautopsy(machine, verb, "--json", *arguments, expect=expect))
    assert isinstance(document, dict)
    return document


def status(document: dict[str, Any]) -> dict[str, str]:
    """The doctor's checks: id → status."""
    return {check["id"]: check["status"] for check in document["checks"]}
