"""What all tests share: dumps of guests whose truth is known, made once and kept in the cache."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from kautopsy.lab.specimen import Specimen, specimen

_GUEST_SECONDS = 1200

# A busy machine is no failure, and what CI finds it must find again.
settings.register_profile("kautopsy", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("kautopsy")


# A shell without job control starts what it puts into the background with SIGINT ignored, nohup
# starts its command with SIGHUP ignored, and children inherit both; tests of Ctrl-C and of a lost
# terminal mean it. What is handled here is reset to the default by exec.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that boots a guest may have to fetch and crash a kernel first."""
    for item in items:
        if item.get_closest_marker("guest") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_GUEST_SECONDS))


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Kits, records of drills and an inventory that lie about must not decide what is found."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "STATE", "CONFIG"):
            patch.setenv(f"XDG_{name}_HOME", str(tmp_path_factory.mktemp(name.lower())))
        yield


@pytest.fixture(scope="session")
def lab_vmcore() -> Callable[[str], Specimen]:
    """``lab_vmcore("6.1")``: a guest's dump with its truth; the test must be marked ``guest``."""
    return functools.cache(specimen)
