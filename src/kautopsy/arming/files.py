"""The files of a machine while a plan is made: each is read once."""

from __future__ import annotations

from kautopsy.arming.deeds import Editor, FileDeed
from kautopsy.host.host import Host
from kautopsy.model.errors import UnreadableError


class Files:
    """Reads files of ``host``, and makes steps of what shall become of them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._contents: dict[str, bytes | None] = {}

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
        """The paths that patterns mean."""
        return [path for pattern in patterns for path in self._host.expand(pattern)]

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
