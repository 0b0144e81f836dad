"""The whole search: this machine first, then what could be fetched and how."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kautopsy.model.base import Noun
from kautopsy.symbols.finder.cache import DebuginfoCache
from kautopsy.symbols.finder.debuginfod import URLS_VARIABLE, servers
from kautopsy.symbols.finder.distro import leads
from kautopsy.symbols.finder.distro.offer import Offer
from kautopsy.symbols.finder.elf import identify
from kautopsy.symbols.finder.fetch import Fetcher, Stage
from kautopsy.symbols.finder.local import search_local
from kautopsy.symbols.finder.target import Target


class Finding(Noun, frozen=True, kw_only=True):
    """What is known of one kernel's debugging information.

    :param path: the verified vmlinux on this machine
    :param source: where it was fetched from in this run
    :param modules: paths of the ``.ko.debug`` files in the cache
    :param offers: who may have it; empty once it is found
    :param debuginfod: the servers that would be asked
    :param notes: what else a person should know
    """

    schema: Literal["kautopsy.symbols-find/1"] = "kautopsy.symbols-find/1"
    target: str
    build_id: str | None
    release: str | None
    path: str | None = None
    source: str | None = None
    modules: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    debuginfod: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find(
    target: Target,
    *,
    distribution: str | None = None,
    fetch: Stage | None = None,
    modules: tuple[str, ...] = (),
    cache: DebuginfoCache | None = None,
) -> Finding:
    """Look for ``target`` here and, with ``fetch``, get it from elsewhere. Asks no network without.

    :param distribution: ask this one's packages only
    :param fetch: is told of each stage
    :param modules: whose ``.ko.debug`` are wanted too
    :raises UsageError: no such distribution
    """
    cache = cache or DebuginfoCache()
    local = search_local(target.build_id, target.release, near=target.near)
    notes = [
        f"{wrong.path} is of build-id {wrong.build_id}, not {target.build_id or target.release}"
        for wrong in local.wrong
    ]
    ways = leads(target.release, target.arch, distribution=distribution) if target.release else ()
    path, source = local.path, None
    wanted = {module.replace("-", "_") for module in modules}
    missing = wanted - set(_modules(cache, path))
    if fetch is not None and (path is None or missing):
        fetched = Fetcher(target, cache, fetch, modules).run(ways)
        notes += fetched.notes
        path, source = fetched.path or path, fetched.source or None
    if target.build_id is None and (path is not None or len(ways) > 1):
        notes.append(
            "only the release is compared, since no build-id is known (kernels before 5.9 leave "
            "none in a dump); several distributions may use one name"
        )
    if path is None and fetch is not None and target.build_id is not None and not servers():
        notes.append(f"{URLS_VARIABLE} names no server to ask")
    if path is None:
        notes += _hints(target, bool(ways))
    return Finding(
        target=target.name,
        build_id=target.build_id,
        release=target.release,
        path=str(path) if path else None,
        source=source,
        modules=tuple(str(file) for name, file in _modules(cache, path).items() if name in wanted),
        offers=() if path else tuple(lead.offer for lead in ways),
        debuginfod=servers(),
        notes=tuple(notes),
    )


def _modules(cache: DebuginfoCache, vmlinux: Path | None) -> dict[str, Path]:
    """The cached debug files of the modules of ``vmlinux``'s kernel."""
    identity = identify(vmlinux) if vmlinux is not None else None
    return cache.modules_of(identity.build_id or "") if identity is not None else {}


def _hints(target: Target, known: bool) -> list[str]:
    if target.release is None:
        return ["a build-id alone names no package: debuginfod is the way, or a release"]
    if not known:
        return [
            f"{target.release} is of no distribution that the finder knows: its vmlinux is in "
            "the build tree; put it beside the dump or into KAUTOPSY_DEBUGINFO_PATH"
        ]
    return []
