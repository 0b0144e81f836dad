"""The editors lose nothing: what they do not mean stays, byte for byte, whatever it is."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kautopsy.arming import kdump_conf, shellfile, sysctl
from kautopsy.arming.bootloader import (
    bls,
    default_grub,
    grub2,
    grub_legacy,
    grubenv,
    kernel_cmdline,
    words,
    zipl,
)
from kautopsy.model.errors import RefusedError

_NAME = "crashkernel"
_Edit = Callable[[str, list[str]], str]
_EDITORS: dict[str, _Edit] = {
    "words": lambda text, values: words.with_values(text, _NAME, values),
    "bls": lambda text, values: bls.with_values(text, _NAME, values),
    "grub2": lambda text, values: grub2.with_values(text, _NAME, values),
    "grub-legacy": lambda text, values: grub_legacy.with_values(text, _NAME, values),
    "kernel-cmdline": lambda text, values: kernel_cmdline.with_values(text, _NAME, values),
    "default-grub": lambda text, values: default_grub.with_values(
        text, "GRUB_CMDLINE_LINUX", _NAME, values, goes_on=False
    ),
    "zipl": lambda text, values: zipl.with_values(text, _NAME, values),
    "kdump-conf": lambda text, values: kdump_conf.set_option(text, "path", values[0]),
    "shell": lambda text, values: shellfile.set_value(text, "KDUMP_COREDIR", values[0]),
    "sysctl": lambda text, values: sysctl.with_values(text, {"kernel.panic": values[0]}, add=True),
}
_ALL = pytest.mark.parametrize("name", _EDITORS)
_PIECES = (
    b"linux", b"\tlinux16 /vmlinuz root=/dev/sda1 ro ", b"kernel /vmlinuz ro ", b"options ro ",
    b"options", b"title x", b"menuentry 'a' {", b"}", b"GRUB_CMDLINE_LINUX=\"quiet\"",
    b"GRUB_CMDLINE_LINUX='a b'", b"GRUB_CMDLINE_LINUX=", b"export GRUB_CMDLINE_LINUX=x # y",
    b"GRUB_CMDLINE_LINUX=\"a\\\"b c", b"GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT\"",
    b"parameters=\"root=/dev/dasda1\"", b"[linux]", b"path /var/crash", b"#path /x", b"path",
    b"KDUMP_COREDIR=\"/var/crash\"", b"#KDUMP_COREDIR=", b"kernel.panic = 0", b"kernel/panic=1",
    b" crashkernel=auto", b"crashkernel=1G-2G:64M", b" --", b" ", b"\t", b"\n", b"\n", b"\r\n",
    b"#", b"\\", b"\"", b"'", b"$(x)", b"`", b"\xff\xfe", b"\x00", b"\xc2\x85", b"\xe2\x80\xa8",
    b"\x0c", b"\x1d",
)  # fmt: skip
_BYTES = st.lists(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=8)), max_size=14).map(
    b"".join
)
_LETTERS = "aZ09 \t\\$`\"'(){};&|<>*?[]~!#=%,.:/-+@^ä€\x85\u2028\x0c\x1b"
_VALUES = st.sampled_from([["256M"], ["1G-4G:192M,4G-:256M"], ["512M,high", "128M,low"]])


def _words(raw: bytes) -> list[bytes]:
    return re.findall(rb"[^\s\"'=]+", raw)


@_ALL
@given(raw=_BYTES, values=_VALUES)
@example(raw=b"linux /vmlinuz", values=["256M"])
@example(raw=b"kernel /vmlinuz", values=["256M"])
@settings(max_examples=150, deadline=None)
def test_no_byte_is_lost(name: str, raw: bytes, values: list[str]) -> None:
    """Text that goes in and is not meant comes out, in its order; a second edit changes nothing."""
    text = raw.decode(errors="surrogateescape")
    assert text.encode(errors="surrogateescape") == raw
    edited = _EDITORS[name](text, values)
    out = edited.encode(errors="surrogateescape")
    assert _EDITORS[name](edited, values) == edited, "a second time"
    # Lines without a word of ours are all there, in order.
    ours = (b"crashkernel", b"GRUB_CMDLINE", b"path", b"KDUMP_COREDIR", b"panic", b"options",
            b"kernel", b"linux", b"parameters")  # fmt: skip
    others = [line for line in raw.split(b"\n") if line and not any(w in line for w in ours)]
    left = iter(out.split(b"\n"))
    if name not in ("words", "kernel-cmdline"):
        for line in others:
            assert any(line == found for found in left), line


@given(raw=_BYTES, values=_VALUES)
@settings(max_examples=300, deadline=None)
def test_every_word_of_a_command_line_stays(raw: bytes, values: list[str]) -> None:
    text = raw.decode(errors="surrogateescape")
    edited = words.with_values(text, _NAME, values)
    before = [w for w in words.words_of(text) if not words.has_word((w.strip('"'),), _NAME)]
    after = [w for w in words.words_of(edited) if not words.has_word((w.strip('"'),), _NAME)]
    assert after == before
    assert words.values_of(words.words_of(edited), _NAME) == values


@given(
    variables=st.dictionaries(
        st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
        st.text(st.sampled_from(_LETTERS), max_size=30),
        max_size=5,
    ),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_the_environment_block_keeps_its_size(variables: dict[str, str], value: str) -> None:
    """grub-editenv: 1024 bytes, whatever is in it; other variables are what they were."""
    body = "# GRUB Environment Block\n" + "".join(
        f"{k}={v}\n" for k, v in ((k, v.replace("\\", "")) for k, v in variables.items())
    )
    size = len(body.encode())
    block = body + "#" * (1024 - size)
    old = grubenv.variables(block)
    edited = grubenv.with_variable(block, "kernelopts", value)
    assert len(edited.encode()) == 1024
    assert grubenv.variables(edited) == {**old, "kernelopts": value}


def test_an_environment_block_that_is_full(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="would not fit"):
        grubenv.with_variable("# GRUB Environment Block\n" + "#" * 999, "kernelopts", "x" * 1000)


@given(
    value=st.text(st.sampled_from(_LETTERS), max_size=30),
    old=st.sampled_from(
        ["", "A=1\n", 'A="x $B"\n', "A='y'\n", "#A=z\nB=1\n", "export A=1 # c\n", "A=$(true)\n",
         'A="open\nB=2"\n', "A=1\nA=2\n", "A=1"]
    ),
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_sh_reads_what_was_set(value: str, old: str) -> None:
    """Quotes, dollars, backticks: a real sh takes the value for what it is, and runs nothing."""
    edited = shellfile.set_value(old, "A", value)
    script = f"{edited}\nprintf '%s.' \"$A\""
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, check=True, env={"PATH": "/nowhere"}
    )
    assert done.stdout.decode(errors="surrogateescape") == f"{value}."
    assert done.stderr == b""


def test_a_hostile_name_is_a_word_for_sh() -> None:
    """What reaches a machine is quoted: a real sh gives every word back as it was."""
    hostile = [
        "/boot/a b",
        "x'; touch /tmp/owned; '",
        "$(reboot)",
        "`id`",
        "a\nb",
        "-rf",
        "*",
        "\\",
    ]
    done = subprocess.run(
        ["sh", "-c", f"printf '%s\\0' {shlex.join(hostile)}"], capture_output=True, check=True
    )
    assert done.stdout.decode().split("\0")[:-1] == hostile


_PLAIN = st.text(st.sampled_from("abZ09 .,:=/-+%@"), max_size=8)
_REFERENCES = st.sampled_from(["$A", "${A}", "$B", "${B}"])
_DOUBLE = st.lists(
    st.one_of(
        _PLAIN,
        _REFERENCES,
        st.sampled_from(['\\"', "\\\\", "\\$", "'", "#", ";", "\\\n", "\n"]),
    ),
    max_size=4,
).map(lambda parts: f'"{"".join(parts)}"')
_SINGLE = st.lists(
    st.one_of(_PLAIN, st.sampled_from(["$A", '"', "\\", "#", ";", "\n"])), max_size=4
).map(lambda parts: f"'{''.join(parts)}'")
_BARE = st.one_of(st.text(st.sampled_from("abZ09.,:/-+%@"), max_size=6), _REFERENCES)
_VALUE = st.lists(st.one_of(_DOUBLE, _SINGLE, _BARE), max_size=3).map("".join)
_STATEMENT = st.one_of(
    st.tuples(
        st.sampled_from(["", "  ", "export ", "\texport  "]),
        st.sampled_from(["A", "B"]),
        st.sampled_from(["=", "+="]),
        _VALUE,
        st.sampled_from(["\n", " # x 'y\n", " \n", "; ", ";\n", "\n\n"]),
    ).map("".join),
    st.sampled_from(
        ["# A=no 'quote\n", "true\n", 'echo "A=1\nA=2" >&2\n', "C='a\nA=3'\n", "true A=4 \\\nA=5\n"]
    ),
)


@given(texts=st.lists(st.lists(_STATEMENT, max_size=5).map("".join), min_size=1, max_size=2))
@settings(max_examples=60, deadline=None)
def test_it_reads_what_sh_reads(texts: list[str]) -> None:
    """bash says what the variables are once it has sourced the files; += is its own."""
    script = "\n".join(texts) + '\nprintf \'%s\\1%s\' "$A" "$B"'
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, check=True, env={})
    found = shellfile.evaluate(f"{text}\n" for text in texts)
    assert f"{found.get('A', '')}\1{found.get('B', '')}" == done.stdout.decode(), script


@given(
    text=st.lists(_STATEMENT, max_size=5).map("".join),
    values=_VALUES,
    end=st.sampled_from(["", "\n"]),
)
@settings(max_examples=60, deadline=None)
def test_sh_has_every_other_word_and_ours_once(text: str, values: list[str], end: str) -> None:
    """The editor on any file that sh takes: what sh reads then is what it read, and ours."""
    text = text.replace("A=", "GRUB_CMDLINE_LINUX=").replace("A+=", "GRUB_CMDLINE_LINUX+=")
    text = text.replace("$A", "$GRUB_CMDLINE_LINUX").replace("${A}", "$GRUB_CMDLINE_LINUX") + end
    show = '\nprintf %s "$GRUB_CMDLINE_LINUX"'

    def words_of(shell: str) -> list[str]:
        done = subprocess.run(
            ["/bin/bash", "-c", shell + show], capture_output=True, check=True, env={}
        )
        return done.stdout.decode().split()

    edited = default_grub.with_values(text, "GRUB_CMDLINE_LINUX", _NAME, values, goes_on=False)
    asked = [f"{_NAME}={value}" for value in values]
    found = words_of(edited)
    quotes = any('"' in word or word == "--" for word in found)
    assert [w for w in found if w not in asked] == words_of(text) or quotes, edited
    assert [w for w in found if w in asked] == asked or quotes, edited
