"""The files of a machine while a plan is made: each is read once."""

from __future__ import annotations

from kautopsy.arming.deeds import Editor, FileDeed
from kautopsy.host.host import Host
from kautopsy.host.paths import PathKind, PathState
from kautopsy.model.errors import UnreadableError


class Files:
    """Reads files of ``host``, and makes steps of what shall become of them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._contents: dict[str, bytes | None] = {}
        self._states: dict[str, PathState] = {}

    def bytes(self, path: str) -> bytes | None:
        """The contents of a file; None if there is none.

        :raises UnreadableError: it is there and cannot be read
        """
        if path not in self._contents:
            try:
                self._contents[path] = self._host.read(path)
            except UnreadableError as error:
                if error.slug != "no-file":
                    raise
                self._contents[path] = None
        return self._contents[path]

    def text(self, path: str) -> str | None:
        """As :meth:`bytes`, decoded so that no byte is lost."""
        contents = self.bytes(path)
        return None if contents is None else contents.decode(errors="surrogateescape")

    def expand(self, *patterns: str) -> list[str]:
        """The files that patterns mean, each once: UEFI systems of el7 and el8 have a link in
        /boot/grub2 to what lies in /boot/efi."""
        found: dict[str, str] = {}
        for pattern in patterns:
            for path in self._host.expand(pattern):
                real = self._real(path)
                if real not in found or path == real:
                    found[real] = path
        return list(found.values())

    def _real(self, path: str) -> str:
        """Where a path leads, all links on the way followed."""
        todo, here = path.strip("/").split("/")[::-1], ""
        for _ in range(200):
            if not todo:
                return here or "/"
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = here.rpartition("/")[0]
                continue
            state = self._look(f"{here}/{part}")
            if state.kind is not PathKind.LINK:
                here = f"{here}/{part}"
                continue
            todo += state.target.split("/")[::-1]
            if state.target.startswith("/"):
                here = ""
        return path

    def _look(self, path: str) -> PathState:
        if path not in self._states:
            self._states[path] = self._host.look(path)
        return self._states[path]

    def edit(
        self, what: str, path: str, edit: Editor, *, comes: str | None = None
    ) -> list[FileDeed]:
        """The step that edits a file; none where it is as it should be.

        :param comes: the text that an earlier step of the plan will put there; "" if nobody knows
        """
        before = self.bytes(path)
        if before is None and comes is not None:
            deed = FileDeed(
                what, path, None, lambda text: edit(comes if text is None else text), settled=False
            )
        else:
            mode = self._host.look(path).mode if before is not None else 0
            deed = FileDeed(what, path, before, edit, mode=mode or 0o644)
            if deed.wanted(before) == before:
                return []
        return [deed]
