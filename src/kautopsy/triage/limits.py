"""What a process that reads a dump is held to; needs nothing else of ours, as it comes first."""

from __future__ import annotations

import ctypes
import os
import resource

_PR_SET_PDEATHSIG = 1


def limit_memory(memory_bytes: int) -> None:
    """Limit this process's private memory for good, and let it leave no core dump.

    RLIMIT_DATA, not RLIMIT_AS: a mapped vmlinux or dump costs address space, not memory.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def end_with_parent(number: int) -> None:
    """Have the kernel send this process the signal ``number`` when its parent dies."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died just before
        os._exit(128 + number)
