"""Boot a guest and give you a shell in it.

Without MACHINE it is a kernel with a busybox, up in seconds. MACHINE (debian12, debian13) is a
whole system with GRUB, systemd, sshd, kdump-tools and a BMC, which other terminals reach as
lab:MACHINE while it runs; making its image takes minutes, once. Its disk is thrown away.

On a terminal you get the guest's serial console; `exit` or Ctrl-] ends the guest. kdump is armed in
it: `echo c > /proc/sysrq-trigger` leaves a dump, which is kept with --out DIR. Without a terminal
the guest boots, one line says so, and the command ends: 0 if it booted, 4 if it was lost.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from kautopsy.cli._guest_options import add_guest
from kautopsy.cli._output import Progress
from kautopsy.cli._screen import Screen, talk
from kautopsy.cli._signals import clean_up_on_sigterm
from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("machine", nargs="?", metavar="MACHINE", help="debian12 or debian13")
    parser.add_argument(
        "--keep", action="store_true", help="MACHINE only: without a terminal, run until killed"
    )
    add_guest(parser)
    parser.add_argument("--append", default="", metavar="WORDS", help="more kernel command line")
    parser.add_argument(
        "--module", action="append", default=[], metavar="NAME", help="load it; may be repeated"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the dump, if it leaves one")


def run(arguments: argparse.Namespace) -> int:
    """Boot."""
    if arguments.machine is not None:
        from kautopsy.cli._run_machine import run_machine

        return run_machine(arguments)
    from kautopsy.lab.config import GuestConfig
    from kautopsy.lab.guest import Guest, State
    from kautopsy.lab.kernels import fetch_kernel

    clean_up_on_sigterm()
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    with Progress("kernel") as progress:
        kernel = fetch_kernel(arguments.kernel)
        progress.detail = kernel.release
    config = GuestConfig(
        kernel,
        memory_mib=arguments.memory,
        cpus=arguments.cpus,
        append=arguments.append,
        crashkernel=arguments.crashkernel,
        modules=(*GuestConfig.modules, *arguments.module),
        shell=interactive,
    )
    screen = Screen()
    with Guest(config, tee=screen.show if interactive else None) as guest:
        started = time.monotonic()
        guest.transition(State.ARMED if arguments.crashkernel else State.BOOTED)
        if not interactive:
            seconds = time.monotonic() - started
            print(f"{kernel.release} {guest.state.name.lower()} in {seconds:.1f} s")
            return ExitCode.OK
        size = os.get_terminal_size()
        if size.lines and size.columns:  # some terminals do not tell
            guest.run(f"stty -F /dev/ttyS0 rows {size.lines} cols {size.columns}")
        screen.start()
        print(f"\r\n{kernel.release} under {guest.accelerator}; Ctrl-] ends it\r\n", end="")
        guest.console.write(b"\n")
        talk(guest.console)
        if arguments.out is not None:
            arguments.out.mkdir(parents=True, exist_ok=True)
            if guest.take_dump(arguments.out / "vmcore"):
                print(f"its dump is {arguments.out / 'vmcore'}", file=sys.stderr)
    return ExitCode.OK
