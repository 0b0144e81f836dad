"""``kautopsy lab run MACHINE``: a whole system on this terminal, or until it is killed."""

from __future__ import annotations

import argparse
import sys
import threading
import time

from kautopsy.cli._output import Progress
from kautopsy.cli._screen import Screen, talk
from kautopsy.cli._signals import clean_up_on_sigterm
from kautopsy.model.errors import ExitCode, UsageError

# What only a guest without a system of its own has, and what it is where nobody asked for it.
_GUESTS_ONLY: dict[str, object] = {
    "append": "",
    "module": [],
    "out": None,
    "kernel": "6.1",
    "crashkernel": "256M",
}


def run_machine(arguments: argparse.Namespace) -> int:
    """Boot it, say how it is reached, and stay as long as it is wanted."""
    from kautopsy.lab.machines.image import fetch_image
    from kautopsy.lab.machines.machine import Machine, MachineConfig
    from kautopsy.lab.machines.running import default_bmc, kept

    for option, default in _GUESTS_ONLY.items():
        if getattr(arguments, option) != default:
            raise UsageError(
                f"--{option} is for guests without a system of their own",
                thing=arguments.machine,
                hint="log in and change the machine itself",
            )
    clean_up_on_sigterm()
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    with Progress("image") as progress:
        image = fetch_image(arguments.machine)
        progress.detail = image.sha256[:12]
    config = MachineConfig(
        image, memory_mib=arguments.memory, cpus=arguments.cpus, bmc=default_bmc()
    )
    screen = Screen()
    with Machine(config, tee=screen.show if interactive else None) as machine:
        started = time.monotonic()
        with Progress("boot") as progress:
            machine.boot()
            machine.wait_until_up(settled=False)
            progress.detail = f"{time.monotonic() - started:.1f} s"
        with kept(machine):
            options = " ".join(f"-o {option}" for option in machine.ssh_options)
            print(f"ssh {options} {machine.name}")
            if machine.has_bmc:
                bmc = machine.bmc
                print(
                    f"ipmitool -I lanplus -C 3 -H {bmc.address} -p {bmc.port}"
                    f" -U {bmc.config.accounts[0].user} -f {bmc.password_file} chassis status"
                )
            print(f"other terminals reach it as lab:{machine.name}", flush=True)
            if interactive:
                print("Ctrl-] ends it", flush=True)
                screen.start()
                machine.console.write(b"\n")
                talk(machine.console)
            elif arguments.keep:
                while machine.running:
                    threading.Event().wait(0.5)
    return ExitCode.OK
