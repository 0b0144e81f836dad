"""An Ansible playbook of built-in modules that does what the plan says.

As the shell script, it checks every file before it changes one. ``kautopsy_root`` puts a directory
before all paths, for an image that is mounted.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from kautopsy.arming.emit.what import CommandGoal, FileGoal, Goal, Goals, LinkGoal, is_plain, sha256

# ansible-lint's yamllint wants lines of at most 160 characters.
_LONGEST = 140
_PACKAGERS = ("apt-get", "dnf", "yum", "zypper")


def playbook(goals: Goals) -> str:
    """The text of the playbook."""
    files = [g for g in goals.goals if isinstance(g, FileGoal) and g.after is not None]
    handlers = [g for g in goals.goals if isinstance(g, CommandGoal) and g.generates and files]
    lines = [
        "---",
        f"# Written by kautopsy arm --emit ansible, for machines like {_plain(goals.name)}",
        "- name: Leave a crash dump",
        "  hosts: \"{{ kautopsy_hosts | default('all') }}\"",
        "  become: true",
        "  vars:",
        '    kautopsy_root: ""',
    ]
    for number, file in enumerate(files):
        lines += _variable(f"kautopsy_contents_{number}", file.after or b"")
    lines += ["  tasks:"]
    guarded = [file for file in files if file.guarded]
    if guarded:
        lines += _guards(guarded)
    for goal in goals.goals:
        if goal in handlers:
            continue
        names = [_sentence(h.what) for h in handlers]
        lines += _task(goal, files, goals.package, names)
    if goals.reboot or goals.manual:
        lines += _message(goals)
    if handlers:
        lines += ["  handlers:"]
        for handler in handlers:
            lines += _command(handler)
    return "\n".join(lines) + "\n"


def _variable(name: str, contents: bytes) -> list[str]:
    """A file's contents: as they are, or in base64 where YAML or Jinja would change them."""
    jinja = any(mark in contents for mark in (b"{{", b"{%", b"{#"))
    ragged = any(line != line.rstrip() for line in contents.split(b"\n"))
    if is_plain(contents, longest=_LONGEST) and not jinja and not ragged:
        return [f"    {name}: |", *_block(contents.decode())]
    text = base64.b64encode(contents).decode()
    parts = [text[at : at + 100] for at in range(0, len(text), 100)]
    # b64decode passes over the blanks that a folded block has for line feeds.
    return [f"    {name}_base64: >-", *(f"      {part}" for part in parts)]


def _block(text: str) -> list[str]:
    return [f"      {line}" if line else "" for line in text.split("\n")[:-1]]


def _guards(files: list[FileGoal]) -> Iterator[str]:
    yield "    - name: Look at the files"
    yield "      ansible.builtin.stat:"
    yield '        path: "{{ kautopsy_root }}{{ item.path }}"'
    yield "        checksum_algorithm: sha256"
    yield "        follow: true"
    yield "      loop:"
    for file in files:
        before = sha256(file.before) if file.before is not None else ""
        yield f"        - path: {_quoted(file.path)}"
        yield f"          before: {_quoted(before)}"
        yield f"          after: {sha256(file.after or b'')}"
    yield "      loop_control:"
    yield '        label: "{{ item.path }}"'
    yield "      register: kautopsy_files"
    yield "    - name: Refuse files that the plan was not made for"
    yield "      ansible.builtin.assert:"
    yield "        that: >-"
    yield "          item.stat.checksum | default('') in [item.item.before, item.item.after]"
    yield "        fail_msg: it is not as the plan knows it, and nothing was changed"
    yield "        quiet: true"
    yield '      loop: "{{ kautopsy_files.results }}"'
    yield "      loop_control:"
    yield '        label: "{{ item.item.path }}"'


def _task(goal: Goal, files: list[FileGoal], package: str, handlers: list[str]) -> Iterator[str]:
    match goal:
        case FileGoal(after=None) | LinkGoal(target=None):
            yield f"    - name: {_sentence(goal.what)}"
            yield "      ansible.builtin.file:"
            yield f"        path: {_rooted(goal.path)}"
            yield "        state: absent"
        case FileGoal():
            number = files.index(goal)
            coded = not _variable("x", goal.after or b"")[0].endswith("|")
            if goal.before is None:
                folder = goal.path.rpartition("/")[0]
                yield f"    - name: {_sentence(f'Have {folder}')}"
                yield "      ansible.builtin.file:"
                yield f"        path: {_rooted(folder)}"
                yield "        state: directory"
                yield '        mode: "0755"'
            yield f"    - name: {_sentence(goal.what)}"
            yield "      ansible.builtin.copy:"
            yield f"        dest: {_rooted(goal.path)}"
            name = f"kautopsy_contents_{number}"
            value = f"{name}_base64 | b64decode" if coded else name
            yield f'        content: "{{{{ {value} }}}}"'
            yield f'        mode: "{goal.mode:04o}"'
            yield "        follow: true"
            if handlers:
                yield "      notify:"
                yield from (f"        - {name}" for name in handlers)
        case LinkGoal(target=str(target)):
            yield f"    - name: {_sentence(goal.what)}"
            yield "      ansible.builtin.file:"
            yield f"        path: {_rooted(goal.path)}"
            yield f"        src: {_quoted(target)}"
            yield "        state: link"
            yield "        force: true"
            yield "        follow: false"
        case CommandGoal(argv=argv) if set(argv) & set(_PACKAGERS) and package:
            yield f"    - name: {_sentence(goal.what)}"
            yield "      ansible.builtin.package:"
            yield f"        name: {_quoted(package)}"
            yield "        state: present"
        case CommandGoal(argv=("systemctl", verb, unit)):
            option = {
                "enable": "enabled: true",
                "unmask": "masked: false",
                "restart": "state: restarted",
            }[verb]
            yield f"    - name: {_sentence(goal.what)}"
            yield "      ansible.builtin.systemd_service:"
            yield f"        name: {_quoted(unit)}"
            yield f"        {option}"
        case CommandGoal(argv=("chkconfig", unit, "on")):
            yield f"    - name: {_sentence(goal.what)}"
            yield "      ansible.builtin.service:"
            yield f"        name: {_quoted(unit)}"
            yield "        enabled: true"
        case CommandGoal():
            yield from _command(goal)


def _command(goal: CommandGoal) -> Iterator[str]:
    yield f"    - name: {_sentence(goal.what)}"
    yield "      ansible.builtin.command:"
    yield "        argv:"
    yield from (f"          - {_quoted(word)}" for word in goal.argv)
    yield "      changed_when: true"


def _message(goals: Goals) -> Iterator[str]:
    words = [f"by hand: {thing}" for thing in goals.manual]
    if goals.reboot:
        words.append("reboot: memory is reserved at boot")
    yield "    - name: Say what is left to do"
    yield "      ansible.builtin.debug:"
    yield "        msg:"
    yield from (f"          - {_quoted(word)}" for word in words)


def _rooted(path: str) -> str:
    return f'"{{{{ kautopsy_root }}}}{_quoted(path)[1:]}'


def _quoted(text: str) -> str:
    """A YAML string; JSON's are YAML's. Jinja must see no template in it."""
    quoted = json.dumps(text)
    for mark in ("{{", "{%", "{#"):
        quoted = quoted.replace(mark, f"{{{{ '{mark}' }}}}")
    return quoted


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _sentence(text: str) -> str:
    """A task's name: ansible-lint wants it to begin with a capital letter."""
    text = _plain(text).replace(": ", ", ").replace("{", "(").replace("}", ")").replace(" #", " ")
    return text[:1].upper() + text[1:]
