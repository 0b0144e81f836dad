"""List the kernels whose debugging information is cached."""

from __future__ import annotations

import argparse
import time

from kautopsy.cli._output import add_json, print_json
from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what the cache holds, most recently used first."""
    from kautopsy.report.escape import one_line
    from kautopsy.symbols.finder.cache import CacheContents, DebuginfoCache

    cache = DebuginfoCache()
    contents = CacheContents(root=str(cache.root), limit_bytes=cache.limit, kernels=cache.kernels())
    if arguments.json:
        print_json(contents)
        return ExitCode.OK
    for kernel in contents.kernels:
        day = time.strftime("%Y-%m-%d", time.localtime(kernel.used))
        size = f"{kernel.size_bytes / 2**20:6.0f} MiB"
        origin = " ".join((kernel.source, *kernel.modules))
        release = kernel.release or "?"
        print(one_line(f"{kernel.build_id}  {release:32}  {size}  used {day}  {origin}"))
    total = sum(kernel.size_bytes for kernel in contents.kernels)
    occupied = f"{total / 2**30:.1f} of {contents.limit_bytes / 2**30:.1f} GiB"
    print(f"{len(contents.kernels)} kernels, {occupied} in {one_line(contents.root)}")
    return ExitCode.OK
