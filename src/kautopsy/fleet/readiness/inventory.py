"""Whom to ask: a list of hosts, an Ansible inventory in INI or YAML, or ``ansible-inventory``'s
JSON.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kautopsy.model.errors import UnreadableError

_RANGE = re.compile(r"\[(\w+):(\w+)(?::(\d+))?\]")
_SECTION = re.compile(r"^\[([^\]:]+)(?::(\w+))?\]\s*$")
_MOST = 1_000_000


@dataclass(frozen=True)
class Machine:
    """A host and how to reach it: ``target`` and ``options`` as ``ssh`` takes them."""

    name: str
    target: str
    options: tuple[str, ...] = ()


def read_inventory(path: Path) -> tuple[Machine, ...]:
    """The hosts of an inventory, each once, in their order.

    :raises UnreadableError: it cannot be read, is no inventory, or names no host
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(str(error), thing=str(path), slug="no-inventory") from error
    hosts: dict[str, dict[str, str]] = {}
    if text.lstrip()[:1] in ("{",):
        _from_json(text, path, hosts)
    elif path.suffix in (".yml", ".yaml"):
        _from_yaml(text, path, hosts)
    else:
        _from_ini(text, hosts)
    hosts.pop("localhost", None)
    if not hosts:
        raise UnreadableError("names no host", thing=str(path), slug="empty-inventory")
    return tuple(_machine(name, variables) for name, variables in hosts.items())


def _machine(name: str, variables: dict[str, str]) -> Machine:
    address = variables.get("ansible_host") or name
    user = variables.get("ansible_user") or variables.get("ansible_ssh_user")
    port = variables.get("ansible_port") or variables.get("ansible_ssh_port")
    key = variables.get("ansible_ssh_private_key_file")
    options = [f"Port={port}"] if port else []
    if key:
        options.append(f"IdentityFile={key}")
    return Machine(
        name=name.rpartition("@")[2],
        target=f"{user}@{address}" if user and "@" not in address else address,
        options=tuple(options),
    )


def _from_ini(text: str, hosts: dict[str, dict[str, str]]) -> None:
    """One host a line, or Ansible's INI: groups' variables and children are not followed."""
    kind = ""
    for line in text.splitlines():
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        section = _SECTION.match(line)
        if section is not None:
            kind = section[2] or ""
            continue
        if kind:
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        variables = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        for name in expand(words[0]):
            hosts.setdefault(name, {}).update(variables)


def expand(pattern: str) -> list[str]:
    """``web[01:03].example`` → its hosts."""
    parts: list[list[str]] = []
    at = 0
    for match in _RANGE.finditer(pattern):
        parts += [[pattern[at : match.start()]], _span(match[1], match[2], int(match[3] or 1))]
        at = match.end()
    parts.append([pattern[at:]])
    return ["".join(one) for one in itertools.islice(itertools.product(*parts), _MOST)]


def _span(first: str, last: str, step: int) -> list[str]:
    if first.isdigit() and last.isdigit():
        numbers = range(int(first), min(int(last), _MOST) + 1, max(step, 1))
        return [str(number).zfill(len(first)) for number in numbers]
    if len(first) == len(last) == 1:
        return [chr(code) for code in range(ord(first), ord(last) + 1, max(step, 1))]
    return [f"[{first}:{last}]"]


def _from_json(text: str, path: Path, hosts: dict[str, dict[str, str]]) -> None:
    try:
        document = json.loads(text)
        known = document.get("_meta", {}).get("hostvars", {})
        for name, variables in known.items():
            hosts[name] = {k: str(v) for k, v in variables.items()}
        for group in document.values():
            for name in group.get("hosts", ()):
                hosts.setdefault(name, {})
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UnreadableError(
            "is no output of ansible-inventory --list", thing=str(path), slug="bad-inventory"
        ) from error


def _from_yaml(text: str, path: Path, hosts: dict[str, dict[str, str]]) -> None:
    import yaml

    try:
        document = yaml.safe_load(text)
        if isinstance(document, list):
            for name in document:
                hosts.setdefault(str(name), {})
            return
        for group in document.values():
            _yaml_group(group, hosts, 0)
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise UnreadableError(
            "is no inventory in YAML", thing=str(path), slug="bad-inventory"
        ) from error


def _yaml_group(group: Any, hosts: dict[str, dict[str, str]], depth: int) -> None:
    if not group or depth > 32:
        return
    for pattern, variables in (group.get("hosts") or {}).items():
        for name in expand(str(pattern)):
            own = {k: str(v) for k, v in {**(group.get("vars") or {}), **(variables or {})}.items()}
            hosts.setdefault(name, {}).update(own)
    for child in (group.get("children") or {}).values():
        _yaml_group(child, hosts, depth + 1)
