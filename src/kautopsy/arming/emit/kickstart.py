"""Parts of a kickstart file: anaconda's kdump addon, and a %post for what it does not know."""

from __future__ import annotations

import base64
import re
import shlex

from kautopsy.arming import sysctl
from kautopsy.arming.distribution.redhat import RedHat
from kautopsy.arming.emit.what import Goals
from kautopsy.model.errors import RefusedError


def kickstart(goals: Goals) -> str:
    """The text.

    :raises RefusedError: the distribution is not installed by anaconda
    """
    if not isinstance(goals.family, RedHat):
        raise RefusedError(
            "is not installed by kickstart files", thing=goals.name, slug="not-emitted"
        )
    plain = re.fullmatch(r"(\d+)M", goals.crashkernel[0]) if len(goals.crashkernel) == 1 else None
    size = f" --reserve-mb='{plain[1]}'" if plain else ""
    lines = [f"%addon com_redhat_kdump --enable{size}", "%end", ""]
    post: list[str] = []
    if goals.crashkernel and not plain:
        # The addon knows one number of mebibytes only.
        words = " ".join(goals.words)
        post.append(shlex.join(("grubby", "--update-kernel=ALL", f"--args={words}")))
    if goals.sysctls:
        add = ">>" if goals.sysctl_file == sysctl.OLD_PATH else ">"
        post += [
            f"cat {add}{goals.sysctl_file} <<'KAUTOPSY_END'",
            sysctl.document(dict(goals.sysctls)).rstrip("\n"),
            "KAUTOPSY_END",
        ]
    for file in goals.configured:
        # A line of a file may look like the end of a section, or hold any bytes.
        contents = base64.b64encode(file.after or b"").decode()
        post.append(f"echo {contents} | base64 -d >{shlex.quote(file.path)}")
    if post:
        lines += ["%post", *post, "%end"]
    return "\n".join(lines) + "\n"
