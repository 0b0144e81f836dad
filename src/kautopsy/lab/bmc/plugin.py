"""Build ``diagnostic.c`` for the ipmi_sim that is installed."""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import subprocess
from pathlib import Path

from kautopsy.lab.cache import lab_cache
from kautopsy.lab.errors import LabError
from kautopsy.model.errors import MissingToolError

_COMPILER = "cc"


def plugin() -> Path:
    """The shared object, built if this source was not built before.

    :raises MissingToolError: there is no compiler
    :raises LabError: it does not compile, as without OpenIPMI's headers
    """
    source = importlib.resources.files("kautopsy.lab.bmc").joinpath("diagnostic.c").read_bytes()
    folder = lab_cache() / "bmc"
    folder.mkdir(exist_ok=True)
    final = folder / f"diagnostic-{hashlib.sha256(source).hexdigest()[:12]}.so"
    if final.exists():
        return final
    partial = final.with_name(f".{final.name}-{os.getpid()}")
    argv = [_COMPILER, "-O2", "-shared", "-fPIC", "-x", "c", "-o", str(partial), "-"]
    try:
        done = subprocess.run(argv, input=source, capture_output=True, check=False)
    except FileNotFoundError:
        raise MissingToolError("is not installed", thing=_COMPILER, hint="install gcc") from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise LabError(
            f"does not compile: {words[0] if words else 'the compiler does not say why'}",
            thing="diagnostic.c",
            hint="install libopenipmi-dev and libc6-dev",
            slug="no-bmc",
        )
    partial.rename(final)
    return final
