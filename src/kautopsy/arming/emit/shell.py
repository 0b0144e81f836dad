"""A POSIX shell script that does what the plan says, on machines like the one it was made for.

Files are checked first, all of them: one that is neither as it was nor as it shall be stops the
script before it has changed anything. A second run changes nothing.
"""

from __future__ import annotations

import base64
import shlex

from kautopsy.arming.emit.what import CommandGoal, FileGoal, Goals, LinkGoal, is_plain, sha256

_HEAD = """\
#!/bin/sh
# Makes a machine like @NAME@ leave a crash dump; written by kautopsy arm --emit shell.
# shellcheck disable=SC2016  # what stands in single quotes is meant as it is
set -eu

fail() {
    echo "$0: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail 'must be run by root'
root=${KAUTOPSY_ROOT:-}
changed=no

is() { [ -f "$root$1" ] && [ "$(sha256sum <"$root$1")" = "$2  -" ]; }

# known PATH BEFORE AFTER: checksums; BEFORE is empty where there was no file.
known() {
    if is "$1" "$3"; then return 0; fi
    if [ -z "$2" ] && [ ! -e "$root$1" ]; then return 0; fi
    if [ -n "$2" ] && is "$1" "$2"; then return 0; fi
    fail "$1 is not as the plan knows it: nothing was changed"
}

# put PATH MODE: the contents come on standard input; owner and mode of an old file stay.
put() {
    target=$(readlink -f "$root$1") || target=$root$1
    mkdir -p "${target%/*}"
    partial=$(mktemp "${target%/*}/.kautopsy.XXXXXX")
    if [ -e "$target" ]; then cp -a "$target" "$partial"; else chmod "$2" "$partial"; fi
    cat >"$partial"
    mv -f "$partial" "$target"
}
"""


def script(goals: Goals) -> str:
    """The text of the script."""
    name = "".join(c if c.isprintable() else "?" for c in goals.name)
    parts = [_HEAD.replace("@NAME@", name)]
    guards = [
        f"known {shlex.quote(goal.path)} '{sha256(goal.before) if goal.before is not None else ''}'"
        f" {sha256(goal.after)}\n"
        for goal in goals.goals
        if isinstance(goal, FileGoal) and goal.guarded and goal.after is not None
    ]
    parts.append("\n" + "".join(guards))
    for goal in goals.goals:
        parts.append(f"\n# {_comment(goal.what)}\n")
        match goal:
            case FileGoal():
                parts.append(_file(goal))
            case LinkGoal(path=path, target=None):
                parts.append(f'rm -f "$root"{shlex.quote(path)}\n')
            case LinkGoal(path=path, target=str(target)):
                folder = shlex.quote(path.rpartition("/")[0])
                parts.append(f'mkdir -p "$root"{folder}\n')
                parts.append(f'ln -sfn {shlex.quote(target)} "$root"{shlex.quote(path)}\n')
            case CommandGoal():
                line = shlex.join(goal.argv)
                parts.append(f'[ "$changed" = no ] || {line}\n' if goal.generates else f"{line}\n")
    for thing in goals.manual:
        parts.append(f"\necho {shlex.quote(f'by hand: {thing}')}\n")
    parts.append("\n[ \"$changed\" = yes ] || echo 'every file is as it shall be'\n")
    if goals.reboot:
        parts.append("echo 'reboot this machine: memory is reserved at boot'\n")
    return "".join(parts)


def _file(goal: FileGoal) -> str:
    path = shlex.quote(goal.path)
    if goal.after is None:
        return f'rm -f "$root"{path}\n'
    if is_plain(goal.after) and "\nKAUTOPSY_END\n" not in f"\n{goal.after.decode()}":
        body = f"put {path} {goal.mode:04o} <<'KAUTOPSY_END'\n{goal.after.decode()}KAUTOPSY_END\n"
    else:
        text = base64.encodebytes(goal.after).decode()
        body = f"base64 -d <<'KAUTOPSY_END' | put {path} {goal.mode:04o}\n{text}KAUTOPSY_END\n"
    return f"if ! is {path} {sha256(goal.after)}; then\n{body}changed=yes\nfi\n"


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
