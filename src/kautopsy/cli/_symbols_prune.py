"""Make the cache of debugging information smaller.

Kernels that were not used for longest go first. Without --max-size the limit is what
KAUTOPSY_DEBUGINFO_CACHE_SIZE says, or 20G.
"""

from __future__ import annotations

import argparse

from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--max-size", metavar="SIZE", help="what may stay: 5G, 500M; 0 for nothing")


def run(arguments: argparse.Namespace) -> int:
    """Remove and say what."""
    from kautopsy.report.escape import one_line
    from kautopsy.symbols.finder.cache import DebuginfoCache, parse_size

    size = parse_size(arguments.max_size) if arguments.max_size is not None else None
    removed = DebuginfoCache().prune(max_size=size)
    for kernel in removed:
        print(
            one_line(
                f"removed {kernel.build_id}  {kernel.release or '?'}"
                f"  {kernel.size_bytes / 2**20:.0f} MiB"
            )
        )
    freed = sum(kernel.size_bytes for kernel in removed)
    print(f"{len(removed)} kernels removed, {freed / 2**30:.1f} GiB freed")
    return ExitCode.OK
