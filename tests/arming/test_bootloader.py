"""Boot loaders' files beyond the ordinary: submenus, saved and one-time entries, odd orders."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kautopsy.arming.bootloader import bls, default_grub, grub2, grub_legacy
from kautopsy.arming.bootloader.grubenv import variables
from kautopsy.arming.bootloader.next_entry import next_entry
from kautopsy.arming.bootloader.templates import templates
from kautopsy.arming.bootloader.words import has_word, values_of, words_of

GRUB = """\
set default="{default}"
menuentry "Debian" --class debian $menuentry_id_option 'simple' {{
  linux /a crashkernel=1M
}}
submenu 'Advanced options' $menuentry_id_option 'advanced' {{
  menuentry 'Debian, with "old"' --id old {{
    if true; then
      insmod gzio
    fi
    linux /b crashkernel=2M
  }}
  menuentry 'Debian (recovery)' --id rec {{
    linux /c single
  }}
}}
menuentry 'Memory test' {{
  linux16 /memtest
}}
"""


@pytest.mark.parametrize(
    ("default", "environment", "title"),
    [
        ("0", {}, "Debian"),
        ("1>0", {}, 'Debian, with "old"'),
        ("advanced>old", {}, 'Debian, with "old"'),
        ("Advanced options>Debian (recovery)", {}, "Debian (recovery)"),
        ("${saved_entry}", {"saved_entry": "advanced>rec"}, "Debian (recovery)"),
        ("${saved_entry}", {"saved_entry": "gone"}, "Debian"),
        ("${saved_entry}", {}, "Debian"),
        ("0", {"next_entry": "2"}, "Memory test"),
        ("99", {}, "Debian"),
        ("1", {}, "Debian"),
    ],
)
def test_the_entry_grub_takes(default: str, environment: dict[str, str], title: str) -> None:
    found = grub2.next_entry("/g", GRUB.format(default=default), environment)
    assert found is not None
    assert found.title == title


def test_grubenv_keeps_what_is_escaped() -> None:
    text = "# GRUB Environment Block\na=1\nkernelopts=root=/dev/x ro y=z\nb=back\\\\slash\n#####"
    assert variables(text) == {"a": "1", "kernelopts": "root=/dev/x ro y=z", "b": "back\\slash"}


def test_blscfg_sorts_as_rpm_does() -> None:
    names = ["m-5.14.0-9.el9", "m-5.14.0-70.el9", "m-5.14.0-70.1.el9", "m-4.18.0-500.el8"]
    entries = [bls.BlsEntry(f"/boot/loader/entries/{n}.conf", n, "", "ro") for n in names]
    ordered = [entry.title for entry in bls.newest_first(entries)]
    assert ordered == ["m-5.14.0-70.1.el9", "m-5.14.0-70.el9", "m-5.14.0-9.el9", "m-4.18.0-500.el8"]
    found = bls.grub_entry(entries, "m-5.14.0-9.el9", {})
    assert found is not None and found.title == "m-5.14.0-9.el9"
    found = bls.grub_entry(entries, "2", {})
    assert found is not None and found.title == "m-5.14.0-9.el9"


def test_legacy_grub() -> None:
    text = "default 1\ntitle A\n kernel /a x\ntitle  B b\nroot (hd0,0)\n"
    text += '\tkernel --type=linux /b "q r" crashkernel=128M@16M\n'
    found = grub_legacy.next_entry("/g", text)
    assert found is not None
    assert (found.title, found.arguments) == ("B b", ('"q r"', "crashkernel=128M@16M"))
    assert grub_legacy.next_entry("/g", "default=9\ntitle A\nkernel /a\n") is None
    assert grub_legacy.next_entry("/g", "") is None


def test_templates_as_grub_mkconfig_sources_them() -> None:
    files = {
        "/etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT='quiet'\n"
        "# GRUB_CMDLINE_LINUX=crashkernel=9M\n",
        "/etc/default/grub.d/50-a.cfg": "export GRUB_CMDLINE_LINUX=bare\n",
        "/etc/default/grub.d/60-b.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="${GRUB_CMDLINE_LINUX_DEFAULT}'
        ' crashkernel=384M-:128M"\n',
    }
    (template,) = templates(files, None)
    assert set(template.arguments) == {"quiet", "bare", "crashkernel=384M-:128M"}
    assert template.source == "/etc/default/grub.d/60-b.cfg"


def test_words() -> None:
    words = words_of('a="b c" crash-kernel=1 crashkernel=64M,high  "x=y z"')
    assert words == ('a="b c"', "crash-kernel=1", "crashkernel=64M,high", '"x=y z"')
    assert values_of(["crash_kernel=2", "crash-kernel=3"], "crash-kernel") == ["2", "3"]
    assert has_word(["nokaslr", "a=1"], "nokaslr")
    assert not has_word(["nokaslrx"], "nokaslr")


def test_no_loader_and_hostile_ones() -> None:
    assert next_entry({}) is None
    hostile = (
        "{" * 5000 + "\n" + "menuentry 'x' {\n" * 2000 + "}\n" * 9000 + "set default='" + "9" * 9000
    )
    assert next_entry({"/boot/grub/grub.cfg": hostile}) is None
    deep = "set default=" + "0>" * 5000 + "0\nmenuentry a {\nlinux /x\n}\n"
    assert next_entry({"/boot/grub2/grub.cfg": deep}) is not None
    assert next_entry({"/boot/loader/entries/x.conf": "\0\xff\n title\n\t\nlinux"}) is not None


def test_what_the_user_gave_grub_stays_where_a_file_of_grub_d_asks_for_memory(
    tmp_path: Path,
) -> None:
    """grub-mkconfig sources grub.d after /etc/default/grub: sh says what is left."""
    before = '#GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=384M-:128M"\n'
    first, second = tmp_path / "grub", tmp_path / "kdump-tools.cfg"
    first.write_text('GRUB_CMDLINE_LINUX_DEFAULT="quiet iommu=pt"\n')
    second.write_text(
        default_grub.with_values(
            before, "GRUB_CMDLINE_LINUX_DEFAULT", "crashkernel", ["192M"], goes_on=True
        )
    )
    script = f'. {first}; . {second}; printf "%s" "$GRUB_CMDLINE_LINUX_DEFAULT"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["quiet", "iommu=pt", "crashkernel=192M"]
