"""An Ansible inventory, read by Ansible itself: INI, YAML, a script, a plugin, group_vars.

``ansible-inventory --list`` prints every host with its variables. Those that say how ssh reaches a
host are Ansible's own; the variable ``kautopsy`` of a host or group holds what only kautopsy needs,
with the names of the TOML inventory (:mod:`kautopsy.host.inventory`).
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from kautopsy.host.inventory import Machine, machine_from
from kautopsy.host.local import run_here
from kautopsy.model.errors import UnreadableError

_PATIENCE = 120.0


def read_ansible(path: Path) -> dict[str, Machine]:
    """The machines of an inventory file, directory or script.

    :raises MissingToolError: Ansible is not installed
    :raises UnreadableError: Ansible cannot read it
    """
    if not path.exists():
        raise UnreadableError("no such file", thing=str(path), slug="no-inventory")
    done = run_here(
        ["ansible-inventory", "--list", "-i", str(path)],
        timeout=_PATIENCE,
        name=str(path),
        # Ansible refuses to run in the C locale.
        environment={"LC_ALL": "C.UTF-8"},
    )
    try:
        tree = json.loads(done.text) if done.status == 0 else None
        variables = tree["_meta"]["hostvars"] if tree is not None else None
    except (ValueError, KeyError, TypeError):
        variables = None
    if not isinstance(variables, dict):
        raise UnreadableError(
            f"ansible-inventory: {done.complaint}", thing=str(path), slug="bad-inventory"
        )
    # Ansible only warns of what it cannot parse, and lists nothing.
    if not variables and not _hosts(tree):
        raise UnreadableError(
            f"Ansible finds no host in it: {done.complaint}", thing=str(path), slug="bad-inventory"
        )
    return {
        name: _machine(name, variables.get(name, {}), str(path))
        for name in sorted({*variables, *_hosts(tree)})
    }


def _hosts(tree: Any) -> set[str]:
    groups = [group for group in tree.values() if isinstance(group, dict)]
    return {
        name for group in groups for name in group.get("hosts", ()) if isinstance(name, str)
    } - {"localhost"}


def _machine(name: str, variables: dict[str, Any], source: str) -> Machine:
    entry = dict(variables.get("kautopsy") or {})
    if variables.get("ansible_connection") == "local":
        entry.setdefault("ssh", "local")
    host = str(variables.get("ansible_ssh_host") or variables.get("ansible_host") or name)
    user = variables.get("ansible_ssh_user") or variables.get("ansible_user")
    entry.setdefault("ssh", f"{user}@{host}" if user else host)
    options = list(entry.pop("options", ()))
    if port := variables.get("ansible_ssh_port") or variables.get("ansible_port"):
        options.append(f"Port={port}")
    if key := variables.get("ansible_ssh_private_key_file"):
        options.append(f"IdentityFile={Path(str(key)).expanduser()}")
    for words in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        more, jump = _from_arguments(str(variables.get(words) or ""))
        options += more
        if jump:
            entry.setdefault("jump", jump)
    if options:
        entry["options"] = options
    return machine_from(name, entry, {}, source)


def _from_arguments(text: str) -> tuple[list[str], str | None]:
    """``-o`` values, and the jump hosts, of arguments for ssh; others do not concern us."""
    try:
        words = shlex.split(text)
    except ValueError:
        return [], None
    options: list[str] = []
    jump = None
    todo = iter(words)
    for word in todo:
        if word[:2] not in ("-o", "-J"):
            continue
        value = word[2:] or next(todo, "")
        if word.startswith("-J"):
            jump = value
        elif value.lower().startswith("proxyjump="):
            jump = value.partition("=")[2]
        elif value:
            options.append(value)
    return options, jump
