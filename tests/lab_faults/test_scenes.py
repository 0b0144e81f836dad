"""The ground truth is complete, and speaks of the source that is there."""

from __future__ import annotations

import re

import pytest

from kautopsy.lab.faults.build import MODULE_NAME, sources, sources_hash
from kautopsy.lab.faults.scenes import (
    STEPS,
    Scene,
    StopBy,
    find_scene,
    load_scenes,
    names_in_module,
)
from kautopsy.model.crash import Kind
from kautopsy.model.errors import UsageError

SCENES = load_scenes()
FUNCTION = re.compile(r"^static (?:kept )?[\w *]+?\b(\w+)\(", re.MULTILINE)
# What a machine without special hardware can be made to die of. A dump cannot come of what happens
# before a capture kernel is loaded (root-mount-failure), nor of what only hardware does.
PROVOKED = set(Kind) - {
    Kind.DOUBLE_FAULT,
    Kind.DATA_RACE,
    Kind.LOCK_MISUSE,
    Kind.HARDWARE_NMI,
    Kind.WATCHDOG,
    Kind.ROOT_MOUNT_FAILURE,
    Kind.UNKNOWN,
}


def functions() -> set[str]:
    return {
        name
        for file, text in sources().items()
        if file.endswith(".c")
        for name in FUNCTION.findall(text.decode())
    }


def test_module_and_truth_name_the_same_scenes() -> None:
    played_by_name = {name for name, scene in SCENES.items() if scene.play is None}
    assert names_in_module() == played_by_name | STEPS
    written = {
        word
        for scene in SCENES.values()
        for command in scene.play or ()
        for word in re.findall(rf"echo ([\w-]+) >/proc/{MODULE_NAME}", command)
    }
    assert written == STEPS


def test_every_mechanism_has_a_scene() -> None:
    assert len(SCENES) >= 28
    assert {kind for scene in SCENES.values() for kind in scene.verdict} == PROVOKED


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_truth_is_consistent(scene: Scene) -> None:
    assert scene.module == MODULE_NAME
    assert set(scene.culprit) <= functions()
    # Whoever stops by itself says as what; whoever does not is stopped by an operator.
    assert bool(scene.crash) == (scene.trigger is StopBy.SELF)
    assert scene.crash_kinds(StopBy.NMI) == (Kind.OPERATOR_NMI,)
    assert scene.crash_kinds(StopBy.SYSRQ) == (Kind.OPERATOR_SYSRQ,)
    assert scene.kernels


def test_thread_names_are_those_of_the_source() -> None:
    text = b"".join(sources().values()).decode()
    for scene in SCENES.values():
        for actor in scene.tasks:
            assert actor.comm in {"sh", "dd", "tail", "touch", "init"} or f'"{actor.comm}"' in text


def test_unknown_scene_is_an_error_with_a_name() -> None:
    with pytest.raises(UsageError) as caught:
        find_scene("no-such")
    assert caught.value.slug == "no-such-scene"


def test_sources_are_identified() -> None:
    assert {"Kbuild", "faults.h", "main.c"} <= set(sources())
    assert re.fullmatch("[0-9a-f]{16}", sources_hash())
