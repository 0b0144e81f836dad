"""Ignition (3.3) and Butane, for machines that are made with them: CoreOS, Flatcar, MicroOS.

Kernel arguments of its own came with 3.3, and need an image that applies them (Fedora CoreOS,
RHCOS). An image takes the versions that its Ignition knows: the oldest that suffices is written.
"""

from __future__ import annotations

import base64
import json

from kautopsy.arming import sysctl
from kautopsy.arming.emit.what import Goals


def _files(goals: Goals) -> dict[str, bytes]:
    files = {sysctl.PATH: sysctl.document(dict(goals.sysctls)).encode()} if goals.sysctls else {}
    for file in goals.configured:
        files[file.path] = file.after or b""
    return files


def ignition(goals: Goals) -> str:
    """The configuration as JSON."""
    document: dict[str, object] = {
        "ignition": {"version": "3.3.0"},
        "storage": {
            "files": [
                {
                    "path": path,
                    "overwrite": True,
                    "mode": 0o644,
                    "contents": {"source": "data:;base64," + base64.b64encode(contents).decode()},
                }
                for path, contents in _files(goals).items()
            ]
        },
    }
    if goals.crashkernel:
        document["kernelArguments"] = {"shouldExist": goals.words}
    if goals.unit:
        document["systemd"] = {"units": [{"name": goals.unit, "enabled": True}]}
    return json.dumps(document, indent=2) + "\n"


def butane(goals: Goals) -> str:
    """The configuration as Butane's YAML, which ``butane`` turns into Ignition's."""
    lines = ["variant: fcos", "version: 1.4.0"]
    if goals.crashkernel:
        lines += ["kernel_arguments:", "  should_exist:"]
        lines += [f"    - {json.dumps(word)}" for word in goals.words]
    if files := _files(goals):
        lines += ["storage:", "  files:"]
        for path, contents in files.items():
            lines += [
                f"    - path: {json.dumps(path)}",
                "      overwrite: true",
                "      mode: 0644",
            ]
            lines += ["      contents:"]
            source = "data:;base64," + base64.b64encode(contents).decode()
            lines.append(f"        source: {json.dumps(source)}")
    if goals.unit:
        lines += ["systemd:", "  units:", f"    - name: {json.dumps(goals.unit)}"]
        lines += ["      enabled: true"]
    return "\n".join(lines) + "\n"
