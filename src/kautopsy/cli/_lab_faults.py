"""Play ways to die, or list them.

Without NAME the scenes are listed. With NAME a guest boots, the module of scenes does its worst,
and the dump, the console's log and the truth about both are left in a directory.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kautopsy.cli._output import Progress, add_json, print_json
from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a scene; none lists them all")
    parser.add_argument("--kernel", default="6.1", metavar="V", help="series (default: 6.1)")
    parser.add_argument(
        "--trigger",
        choices=("self", "sysrq", "nmi"),
        help="who stops the machine (default: what the scene says)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where vmcore, console.log and truth.json go (default: ./NAME-V)",
    )
    parser.add_argument(
        "--console", action="store_true", help="show the guest's console on stderr as it speaks"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Play or list."""
    return _list(arguments) if arguments.name is None else _play(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from kautopsy.lab.faults.scenes import ScenesDocument, load_scenes

    scenes = tuple(load_scenes().values())
    if arguments.json:
        print_json(ScenesDocument(scenes=scenes))
        return ExitCode.OK
    table = Table(box=None, pad_edge=False)
    for column in ("scene", "verdict", "stops by", "what happens"):
        table.add_column(column)
    for scene in scenes:
        table.add_row(scene.name, scene.verdict[0], scene.trigger, scene.what)
    Console().print(table)
    return ExitCode.OK


def _play(arguments: argparse.Namespace) -> int:
    import sys

    from kautopsy.lab.faults.play import play
    from kautopsy.lab.faults.scenes import StopBy, find_scene
    from kautopsy.lab.kernels import fetch_kernel

    def tee(data: bytes) -> None:
        from kautopsy.report.escape import one_line

        print(one_line(data.decode(errors="replace")), file=sys.stderr)

    scene = find_scene(arguments.name)
    with Progress(f"kernel {arguments.kernel}") as progress:
        kernel = fetch_kernel(arguments.kernel)
        progress.detail = kernel.release
    with Progress(f"scene {scene.name}") as progress:

        def report(what: str) -> None:
            progress.detail = what

        played = play(
            scene,
            kernel,
            out=arguments.out or Path(f"{scene.name}-{arguments.kernel}"),
            trigger=StopBy(arguments.trigger) if arguments.trigger else None,
            report=report,
            tee=tee if arguments.console else None,
        )
        progress.detail = played.vmcore
    if arguments.json:
        print_json(played)
    else:
        print(played.vmcore)
        print(played.console)
    return ExitCode.OK
