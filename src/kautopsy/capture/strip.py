"""Filter a dump once more on the machine itself, so that less has to come home.

``makedumpfile -d LEVEL`` reads its own dumps: pages that an earlier run kept can still be left out
(zero 1, cache 2, private cache 4, user 8, free 16). A flattened dump is put in order first, by -R.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from kautopsy.host.host import Host
from kautopsy.model.errors import RefusedError, UnreadableError

_PATIENCE = 4 * 3600.0
# The result appears under its name when it is whole, so that a fetch that broke off finds the same
# file again. Of a flattened dump the first run makes an ordered copy, which needs room too.
_STRIP = r"""
set -e
source=$1 level=$2 work=$3
[ -s "$work/dump" ] && [ "$work/dump" -nt "$source" ] && exit 0
command -v makedumpfile >/dev/null 2>&1 || exit 127
rm -rf -- "$work"
mkdir -m 0700 -- "$work"
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM
input=$source
if [ "$(dd if="$source" bs=12 count=1 2>/dev/null)" = makedumpfile ]; then
    makedumpfile -R "$work/ordered" <"$source" >&2
    input=$work/ordered
fi
makedumpfile -c -d "$level" --message-level 4 "$input" "$work/partial" >&2
rm -f -- "$work/ordered"
mv -- "$work/partial" "$work/dump"
trap - EXIT
"""


@dataclass(frozen=True)
class Stripped:
    """The filtered dump, on the machine; :meth:`remove` it when it is home."""

    host: Host
    work: str

    @property
    def path(self) -> str:
        """Where it is."""
        return f"{self.work}/dump"

    def remove(self) -> None:
        """Leave nothing there."""
        self.host.script('rm -rf -- "$1"', self.work, timeout=60.0)


def strip(host: Host, dump: str, level: int) -> Stripped:
    """Filter ``dump`` on its machine, beside it.

    :param level: makedumpfile's ``-d``, 0 to 31
    :raises RefusedError: nothing runs in a directory
    :raises UnreadableError: makedumpfile is not there, or failed
    """
    if not host.live:
        raise RefusedError("makedumpfile cannot run there", thing=host.name)
    work = f"{dump.rpartition('/')[0]}/.kautopsy-strip-{level}"
    done = host.script(_STRIP, dump, str(level), work, timeout=_PATIENCE)
    if done.status == 127:
        raise UnreadableError(
            "has no makedumpfile: the dump cannot be filtered there",
            thing=host.name,
            slug="no-makedumpfile",
            hint="without --strip it comes as it is",
        )
    if done.status:
        raise UnreadableError(
            f"makedumpfile -d {level} failed: {done.complaint}",
            thing=f"{host.name}:{dump}",
            slug="not-stripped",
            hint=f"by hand: makedumpfile -c -d {level} {shlex.quote(dump)} OUTPUT",
        )
    return Stripped(host, work)
