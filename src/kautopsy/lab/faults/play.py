"""Plays a scene: boot, load the module, provoke, wait or stop the machine, bring the dump home."""

from __future__ import annotations

import re
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from kautopsy.lab.config import GuestConfig
from kautopsy.lab.errors import GuestLostError
from kautopsy.lab.faults.build import MODULE_NAME, build_module
from kautopsy.lab.faults.scenes import Scene, StopBy
from kautopsy.lab.guest import Guest, State
from kautopsy.lab.kernels import GuestKernel
from kautopsy.model.base import Noun, to_json
from kautopsy.model.errors import UsageError

Report = Callable[[str], None]
"""Called with what is being done, for people who wait."""

# Who is in trouble for long is told apart from who is merely slow by seconds, not by minutes; and
# khungtaskd keeps quiet unless a scene wants it, as an operator is often faster than it is.
_SYSCTL = {
    "kernel.panic_on_oops": 1,
    "kernel.sysrq": 1,
    "kernel.unknown_nmi_panic": 1,
    "kernel.hung_task_timeout_secs": 0,
}
# With panic_on_oops an oops enters the capture kernel before panic() says a word: what is sure to
# come is that the second kernel boots.
_STOPPED = re.compile(r"Kernel panic - not syncing|\] Linux version \d|Trigger a crash")
_PATH = f"/scenes/{MODULE_NAME}.ko"
# The operator keeps CPU 0; a scene's process gets the other one, as its threads do.
_OPERATOR, _SCENE = "1", "2"


class Played(Noun, frozen=True, kw_only=True):
    """A scene that was played, and what it left: the content of ``truth.json``.

    :param kernel: series, and the release in full
    :param vmcore: path of the dump
    :param console: path of the console's log, both kernels' lines
    :param seconds: from power-on to the dump
    """

    scene: Scene
    kernel: str
    release: str
    trigger: StopBy
    vmcore: str
    console: str
    seconds: float


def play(
    scene: Scene,
    kernel: GuestKernel,
    *,
    out: Path,
    trigger: StopBy | None = None,
    report: Report = lambda what: None,
    tee: Callable[[bytes], None] | None = None,
) -> Played:
    """Play ``scene`` on ``kernel`` and leave vmcore, console.log and truth.json in ``out``.

    :param trigger: overrides who stops the machine
    :raises UsageError: the scene does not apply to this kernel, or never stops by itself
    :raises GuestLostError: the machine did not stop in time
    :raises CaptureError: it did, and left no dump
    """
    trigger = trigger or scene.trigger
    series = kernel.series.name
    if series not in scene.kernels:
        raise UsageError(
            f"does not apply to {series}: {scene.notes}", thing=scene.name, slug="no-such-scene"
        )
    if trigger is StopBy.SELF and not scene.crash:
        raise UsageError(
            "does not stop by itself", thing=scene.name, hint="--trigger sysrq or --trigger nmi"
        )
    module = build_module(kernel, report=report)
    config = GuestConfig(
        kernel=kernel,
        memory_mib=640,
        append=scene.cmdline,
        modules=scene.modules,
        files={_PATH.removeprefix("/"): module},
        sink_mib=2048,
    )
    out.mkdir(parents=True, exist_ok=True)
    vmcore, console = out / "vmcore", out / "console.log"
    started = time.monotonic()
    with Guest(config, tee=tee) as guest:
        try:
            report(f"boot {kernel.release}")
            guest.transition(State.ARMED)
            guest.insmod(_PATH)
            guest.run(_preparation(scene, trigger))
            report(f"play {scene.name}")
            _provoke(guest, scene, trigger)
            report("save the dump")
            guest.transition(State.CAPTURED)
            if not guest.take_dump(vmcore):
                raise GuestLostError("it left no dump", thing=scene.name)
        finally:
            if (log := guest.folder / "console.log").exists():
                shutil.copyfile(log, console)
    played = Played(
        scene=scene,
        kernel=series,
        release=kernel.release,
        trigger=trigger,
        vmcore=str(vmcore),
        console=str(console),
        seconds=round(time.monotonic() - started, 1),
    )
    (out / "truth.json").write_text(to_json(played))
    return played


def _preparation(scene: Scene, trigger: StopBy) -> str:
    settings = _SYSCTL | scene.sysctl
    if trigger is not StopBy.SELF:
        # An operator is asked for: nothing may be faster.
        settings |= {name: 0 for name in settings if "panic" in name}
        settings["kernel.unknown_nmi_panic"] = 1
    lines = [f"sysctl -w {name}={value} >/dev/null" for name, value in settings.items()]
    # The shell that the lab speaks to, and all it starts from now on.
    return "\n".join([f"taskset -p {_OPERATOR} 1 >/dev/null", *lines])


def _provoke(guest: Guest, scene: Scene, trigger: StopBy) -> None:
    start = len(guest.console.lines)
    script = "\n".join(scene.commands)
    guest.send(f"taskset {_SCENE} sh -c {shlex.quote(script)} >/dev/null 2>&1 &")
    if scene.monitor:
        guest.qmp.execute("human-monitor-command", **{"command-line": scene.monitor})
    limit = guest.config.limits.patient().crash
    if trigger is not StopBy.SELF:
        time.sleep(scene.wait)
        start = len(guest.console.lines)
    if trigger is StopBy.SYSRQ:
        guest.send("echo c >/proc/sysrq-trigger")
    elif trigger is StopBy.NMI:
        guest.qmp.execute("inject-nmi")
    guest.wait_for_console(_STOPPED, limit=limit + scene.wait, start=start)
    guest.panic_line = guest.console.find(_STOPPED, start) or start
    guest.state = State.CRASHED
