"""cloud-init's user data (``#cloud-config``) for new machines of the same distribution."""

from __future__ import annotations

import base64
import json

from kautopsy.arming import sysctl
from kautopsy.arming.emit.first_boot import commands
from kautopsy.arming.emit.what import Goals


def user_data(goals: Goals) -> str:
    """The text; it reboots the machine once, because memory is reserved at boot."""
    lines = ["#cloud-config", "# Written by kautopsy arm --emit cloud-init"]
    if goals.package:
        lines += ["packages:", f"  - {json.dumps(goals.package)}"]
    files: dict[str, bytes] = {}
    if goals.sysctls:
        files[sysctl.PATH] = sysctl.document(dict(goals.sysctls)).encode()
    for file in goals.configured:
        files[file.path] = file.after or b""
    if files:
        lines.append("write_files:")
        for path, contents in files.items():
            lines += [
                f"  - path: {json.dumps(path)}",
                "    encoding: b64",
                f"    content: {base64.b64encode(contents).decode()}",
                "    owner: root:root",
                '    permissions: "0644"',
                # After the packages, which bring files of the same name.
                "    defer: true",
            ]
    run: list[tuple[str, ...]] = [("sysctl", "-p", sysctl.PATH)] if goals.sysctls else []
    run += commands(goals)
    if goals.unit:
        run.append(("systemctl", "enable", goals.unit))
    lines.append("runcmd:")
    lines += [f"  - {json.dumps(list(argv))}" for argv in run]
    if goals.crashkernel:
        lines += [
            "power_state:",
            "  mode: reboot",
            "  message: memory for a capture kernel is reserved at boot",
            "  condition: true",
        ]
    return "\n".join(lines) + "\n"
