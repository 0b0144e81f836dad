"""What a detector is, and how all of them are run."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from kautopsy.kernel.reading import READ_ERRORS, reason
from kautopsy.model.base import Unreadable
from kautopsy.model.errors import in_words
from kautopsy.model.finding import Finding
from kautopsy.triage.scene import Scene

Detect = Callable[[Scene], Iterator[Finding]]


class Need(StrEnum):
    """What a detector cannot work without."""

    LOG = "the kernel log"
    TYPES = "types (DWARF or BTF)"
    PANIC = "a CPU that panicked"


@dataclass(frozen=True)
class Detector:
    """A named way to die; ``doc`` is the detector's page."""

    name: str
    doc: str
    needs: tuple[Need, ...]
    detect: Detect
    last: bool = False
    """It asks what came of the others."""

    def missing(self, scene: Scene) -> str | None:
        """What ``scene`` lacks of :attr:`needs`, in words."""
        for need in self.needs:
            if need is Need.LOG and isinstance(scene.log, Unreadable):
                return f"{need} ({scene.log.unreadable})"
            if need is Need.TYPES and not scene.has_types:
                return need
            if need is Need.PANIC and scene.panic_task is None:
                return need
        return None


DEFECT = "which is a defect of kautopsy"
"""What a note says of an exception that nobody expected."""

_DETECTORS: dict[str, Detector] = {}


def detector(*needs: Need, last: bool = False) -> Callable[[Detect], Detector]:
    """Declare a detector: ``@detector(Need.LOG)`` over a generator of findings.

    :param last: it is run after all others

    Its name is its module's, its doc the module's docstring.
    """

    def declare(detect: Detect) -> Detector:
        module = importlib.import_module(detect.__module__)
        name = detect.__module__.rsplit(".", 1)[1].replace("_", "-")
        _DETECTORS[name] = Detector(name, module.__doc__ or "", needs, detect, last)
        return _DETECTORS[name]

    return declare


def detectors() -> tuple[Detector, ...]:
    """Every detector there is, by name, those that come last last."""
    import kautopsy.triage.detectors

    for module in pkgutil.iter_modules(kautopsy.triage.detectors.__path__):
        importlib.import_module(f"kautopsy.triage.detectors.{module.name}")
    return tuple(sorted(_DETECTORS.values(), key=lambda one: (one.last, one.name)))


def investigate(scene: Scene) -> Iterator[Finding]:
    """The findings of all detectors; one that fails is noted and takes no other down."""
    lacking: dict[str, list[str]] = {}
    for one in detectors():
        missing = one.missing(scene)
        if missing is not None:
            lacking.setdefault(missing, []).append(one.name)
            continue
        try:
            yield from one.detect(scene)
        except READ_ERRORS as error:
            scene.unfinished.append(one.name)
            scene.notes.append(f"{one.name} not looked for to the end: {reason(error)}")
        except MemoryError:
            raise  # of all, not of one
        except Exception as error:
            scene.unfinished.append(one.name)
            scene.notes.append(f"{one.name} not looked for to the end, {DEFECT}: {in_words(error)}")
    for missing, names in lacking.items():
        scene.notes.append(f"not looked for, as the dump lacks {missing}: {', '.join(names)}")
