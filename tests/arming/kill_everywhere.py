"""Kill `arm --apply` and `disarm` at every call that changes a file, and see what is left.

Run with killer.c preloaded: ``kill_everywhere.py KILLER.so FOLDER TREE…``. Prints one JSON line:
how many points there were, and what was lost at which.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.arming.trees import TREES, state_of

from kautopsy.arming.apply import apply, disarm, recover
from kautopsy.arming.bootloader.next_entry import next_entry
from kautopsy.arming.deeds import Work
from kautopsy.arming.plan import look_and_plan
from kautopsy.arming.policy import Policy
from kautopsy.host.paths import PARTIAL
from kautopsy.host.tree import TreeHost

State = dict[str, tuple[int, str | bytes | None]]
_NOT_SO = 77
_OURS = ("var/lib/kautopsy", PARTIAL)


def _quiet(words: str) -> None:
    pass


def _visible(state: State) -> State:
    """Without our own files, and without folders, which no boot loader minds."""
    return {
        path: value
        for path, value in state.items()
        if not any(mark in path for mark in _OURS) and value[1] is not None
    }


def _boot_files(root: Path) -> dict[str, str]:
    """What the probe would read of the boot loader."""
    patterns = ("boot/grub*/grub.*", "boot/grub*/grubenv", "boot/**/*.conf", "etc/zipl.conf")
    return {
        f"/{path.relative_to(root)}": path.read_text()
        for pattern in patterns
        for path in root.glob(pattern)
    }


class Killing:
    """One tree, its state before and armed, and the points at which something was lost."""

    def __init__(self, killer: Path, folder: Path, name: str) -> None:
        self.killer = ctypes.CDLL(str(killer))
        self.folder = folder
        self.name = name
        self.points = 0
        self.lost: list[str] = []
        self.start = folder / "start"
        self.start.mkdir(parents=True)
        (self.start / "var/lib").mkdir(parents=True)
        TREES[name](self.start, "")
        self.before = state_of(self.start)
        self.work: Work = look_and_plan(TreeHost(self.start), Policy())[1]
        assert self.work.deeds
        self.armed = folder / "armed"
        shutil.copytree(self.start, self.armed, symlinks=True)
        apply(TreeHost(self.armed), self.work, _quiet)
        self.after = state_of(self.armed)

    def arm(self, host: TreeHost) -> None:
        apply(host, self.work, _quiet)

    def disarm(self, host: TreeHost) -> None:
        disarm(host, _quiet)

    def killed_at(self, point: int, how: int, root: Path, deed: Callable[[TreeHost], None]) -> int:
        """Do ``deed`` in a child that dies at ``point``: 0 if it came to its end, -9 if it was
        killed, 77 if there is no such way to die.
        """
        child = os.fork()
        if child == 0:
            self.killer.killer_set(point, how)
            deed(TreeHost(root))
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGKILL, _NOT_SO), code
        return code

    def sweep(self, origin: Path, deed: Callable[[TreeHost], None], label: str) -> None:
        """Every point of ``deed``, on copies of ``origin``."""
        for how in (0, 1):
            point = 1
            while True:
                where = f"{self.name} {label} point {point} manner {how}"
                one, two = self.folder / "one", self.folder / "two"
                self.copy(origin, one)
                ended = self.killed_at(point, how, one, deed)
                if ended == 0:
                    break
                if ended == _NOT_SO:
                    point += 1
                    continue
                self.points += 1
                self.check_left(where, one)
                self.copy(one, two)
                self.check_undone(where, one)
                if label == "arm" or point % 5 == 0:
                    self.check_finished(where, two)
                point += 1

    def copy(self, origin: Path, to: Path) -> None:
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(origin, to, symlinks=True)

    def check_left(self, where: str, root: Path) -> None:
        """Each file is the old or the new one, and something boots."""
        old, new = _visible(self.before), _visible(self.after)
        for path, value in _visible(state_of(root)).items():
            if value not in (old.get(path), new.get(path)):
                self.lost.append(f"{where}: {path} is neither old nor new")
        for path in old:
            if path in new and path not in state_of(root):
                self.lost.append(f"{where}: {path} is gone")
        entry = next_entry(_boot_files(root))
        if entry is None or not entry.arguments:
            self.lost.append(f"{where}: nothing boots")

    def check_undone(self, where: str, root: Path) -> None:
        """disarm gives everything back."""
        disarm(TreeHost(root), _quiet)
        if state_of(root) != self.before:
            changed = {k for k, v in state_of(root).items() if self.before.get(k) != v}
            self.lost.append(f"{where}: disarm left {changed or 'too little'}")

    def check_finished(self, where: str, root: Path) -> None:
        """The next arm comes to its end, and disarm still gives everything back."""
        host = TreeHost(root)
        recover(host, _quiet)
        back = _visible(state_of(root)) == _visible(self.before)
        # Probing takes time: where all is as it was, the plan is known.
        apply(host, self.work if back else look_and_plan(host, Policy())[1], _quiet)
        if _visible(state_of(root)) != _visible(self.after):
            self.lost.append(f"{where}: the next arm did not finish")
        self.check_undone(f"{where}, armed again", root)


def main(killer: Path, folder: Path, names: list[str]) -> None:
    points, lost = 0, []
    for name in names:
        tree = Killing(killer, folder / name, name)
        tree.sweep(tree.start, tree.arm, "arm")
        tree.sweep(tree.armed, tree.disarm, "disarm")
        points += tree.points
        lost += tree.lost
    print(json.dumps({"points": points, "lost": lost}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
