"""The plan for other tools: each is read by the tool itself, and does the same."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kautopsy.arming.apply import apply
from kautopsy.arming.emit import ansible, cloud_init, ignition, kickstart, shell
from kautopsy.arming.emit.what import Goals, goals_of
from kautopsy.arming.plan import look_and_plan
from kautopsy.arming.policy import Policy
from kautopsy.host.tree import TreeHost
from kautopsy.model.errors import RefusedError

from .machine import Machine
from .trees import TREES, state_of, write

pytestmark = pytest.mark.slow

_BIN = Path(sys.executable).parent
_POLICY = Policy(crashkernel="256M", collector="makedumpfile -z -d 31")
_HOSTILE = 'it\'s $(touch owned) `id` "x" {{ 7 * 7 }} # %end'


def _quiet(words: str) -> None:
    pass


def _goals(root: Path, name: str, *tools: str) -> Goals:
    if not root.exists():
        root.mkdir(parents=True)
        TREES[name](root, "")
    write(root, {"sys/kernel/kexec_crash_loaded": "0\n", "sys/kernel/kexec_crash_size": "0\n"})
    host = Machine(root, tools, node=_HOSTILE) if tools else TreeHost(root)
    facts, work = look_and_plan(host, _POLICY)
    return goals_of(facts, _POLICY, work)


def _expected(tmp_path: Path, name: str) -> dict[str, object]:
    """The tree as our own apply leaves it, without the journal."""
    root = tmp_path / "ours"
    root.mkdir()
    TREES[name](root, "")
    write(root, {"sys/kernel/kexec_crash_loaded": "0\n", "sys/kernel/kexec_crash_size": "0\n"})
    host = TreeHost(root)
    apply(host, look_and_plan(host, _POLICY)[1], _quiet)
    return _files(root)


def _files(root: Path) -> dict[str, object]:
    return {
        path: (stat.S_IMODE(value[0]), value[1])
        for path, value in state_of(root).items()
        if value[1] is not None and "var/lib/kautopsy" not in path
    }


_NAMES = ("el6", "el8", "el9", "debian12", "suse", "systemd_boot")


@pytest.mark.parametrize("name", _NAMES)
def test_the_script_does_the_same(name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    text = shell.script(_goals(root, name))
    script = tmp_path / "arm.sh"
    script.write_text(text)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-s", "sh", str(script)], check=True)
    if os.geteuid() != 0:
        pytest.skip("the script wants root")
    environment = {**os.environ, "KAUTOPSY_ROOT": str(root)}
    subprocess.run(["sh", str(script)], check=True, env=environment, capture_output=True)
    expected = _expected(tmp_path, name)
    assert _files(root) == expected
    again = subprocess.run(["sh", str(script)], check=True, env=environment, capture_output=True)
    assert b"every file is as it shall be" in again.stdout
    assert _files(root) == expected


def test_the_script_refuses_other_machines_before_it_changes_anything(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the script wants root")
    root = tmp_path / "root"
    text = shell.script(_goals(root, "el9"))
    path = root / "etc/kernel/cmdline"
    path.write_text("root=/dev/another ro\n")
    before = state_of(root)
    done = subprocess.run(
        ["sh", "-c", text],
        env={**os.environ, "KAUTOPSY_ROOT": str(root)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert b"/etc/kernel/cmdline is not as the plan knows it" in done.stderr
    assert state_of(root) == before


@pytest.mark.parametrize("tools", [("grubby", "systemctl", "sysctl"), ()])
def test_hostile_names_and_contents_stay_words(tools: tuple[str, ...], tmp_path: Path) -> None:
    """A title, a node name, a file's bytes: none of them is run or expanded by anybody."""
    root = tmp_path / "root"
    root.mkdir()
    TREES["el9"](root, "")
    entry = next((root / "boot/loader/entries").glob("ffff-5.14*"))
    hostile = entry.with_name("a b'$(touch owned)`id`.conf")
    hostile.write_bytes(
        b"title " + _HOSTILE.encode() + b"\nlinux /vmlinuz\noptions ro \xff\nKAUTOPSY_END\n"
    )
    goals = _goals(root, "el9", *tools)
    script = tmp_path / "arm.sh"
    script.write_text(shell.script(goals))
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-s", "sh", str(script)], check=True)
    book = yaml.safe_load(ansible.playbook(goals))
    assert book[0]["name"] == "Leave a crash dump"
    if not tools and os.geteuid() == 0:
        subprocess.run(
            ["sh", str(script)],
            check=True,
            env={**os.environ, "KAUTOPSY_ROOT": str(root)},
            cwd=tmp_path,
            capture_output=True,
        )
        assert b"options ro \xff crashkernel=256M\nKAUTOPSY_END\n" in hostile.read_bytes()
        assert hostile.read_bytes().startswith(b"title " + _HOSTILE.encode())
    assert not (tmp_path / "owned").exists()


def test_ansible_itself_does_the_same(tmp_path: Path) -> None:
    """The real ansible-playbook, on this machine's connection, below a directory."""
    root = tmp_path / "root"
    playbook = tmp_path / "arm.yml"
    playbook.write_text(ansible.playbook(_goals(root, "debian12")))
    command = [
        str(_BIN / "ansible-playbook"), "-i", "localhost,", "-c", "local",
        "-e", f"kautopsy_root={root}", "-e", "ansible_become=false",
        "-e", f"ansible_python_interpreter={sys.executable}", str(playbook),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "temp"),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    first = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path
    )
    assert first.returncode == 0, first.stdout + first.stderr
    expected = _expected(tmp_path, "debian12")
    assert _files(root) == expected
    second = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path
    )
    assert second.returncode == 0, second.stdout + second.stderr
    assert "changed=0" in second.stdout
    assert _files(root) == expected


@pytest.mark.timeout(600)
def test_ansible_lint_has_nothing_to_say(tmp_path: Path) -> None:
    plans = {
        "debian": ("debian12", ("update-grub", "systemctl", "sysctl")),
        "el9": ("el9", ("grubby", "systemctl", "sysctl")),
        "tree": ("el8", ()),
    }
    for name, (tree, tools) in plans.items():
        text = ansible.playbook(_goals(tmp_path / "roots" / name, tree, *tools))
        (tmp_path / f"{name}.yml").write_text(text)
    done = subprocess.run(
        [str(_BIN / "ansible-lint"), "--offline", "--strict", *(f"{name}.yml" for name in plans)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{_BIN}:{os.environ['PATH']}", "NO_COLOR": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    debian = yaml.safe_load((tmp_path / "debian.yml").read_text())
    assert [h["ansible.builtin.command"]["argv"] for h in debian[0]["handlers"]] == [
        ["update-grub"]
    ]


def test_ignition_and_butane_say_the_same(tmp_path: Path) -> None:
    goals = _goals(tmp_path / "root", "coreos")
    config = json.loads(ignition.ignition(goals))
    assert config["ignition"] == {"version": "3.3.0"}
    assert config["kernelArguments"] == {"shouldExist": ["crashkernel=256M"]}
    assert config["systemd"]["units"] == [{"name": "kdump.service", "enabled": True}]
    files = {
        file["path"]: base64.b64decode(file["contents"]["source"].removeprefix("data:;base64,"))
        for file in config["storage"]["files"]
    }
    assert b"kernel.panic = 10\n" in files["/etc/sysctl.d/zz-kautopsy.conf"]
    assert b"core_collector makedumpfile -z -d 31\n" in files["/etc/kdump.conf"]
    text = yaml.safe_load(ignition.butane(goals))
    assert (text["variant"], text["version"]) == ("fcos", "1.4.0")
    assert text["kernel_arguments"]["should_exist"] == ["crashkernel=256M"]
    assert text["systemd"]["units"] == config["systemd"]["units"]
    assert {f["path"]: f["contents"]["source"] for f in text["storage"]["files"]} == {
        f["path"]: f["contents"]["source"] for f in config["storage"]["files"]
    }
    assert text["storage"]["files"][0]["mode"] == 0o644


def test_cloud_init(tmp_path: Path) -> None:
    for name, tool in (("debian12", "update-grub"), ("el9", "grubby"), ("suse", "grub2-mkconfig")):
        text = cloud_init.user_data(_goals(tmp_path / name, name))
        assert text.startswith("#cloud-config\n")
        config = yaml.safe_load(text)
        assert config["packages"]
        assert all(isinstance(word, str) for argv in config["runcmd"] for word in argv)
        assert any(argv[0] == tool for argv in config["runcmd"])
        files = {f["path"]: base64.b64decode(f["content"]) for f in config["write_files"]}
        assert b"kernel.panic = 10\n" in files["/etc/sysctl.d/zz-kautopsy.conf"]
        assert config["power_state"]["mode"] == "reboot"
    with pytest.raises(RefusedError):
        cloud_init.user_data(_goals(tmp_path / "arch", "arch_grub"))


def test_what_cloud_init_runs_for_debian_is_what_sh_takes(tmp_path: Path) -> None:
    config = yaml.safe_load(cloud_init.user_data(_goals(tmp_path / "root", "debian12")))
    argv = next(argv for argv in config["runcmd"] if argv[0] == "sh")
    path = tmp_path / "kdump-tools.cfg"
    script = argv[2].replace("/etc/default/grub.d/kdump-tools.cfg", str(path))
    subprocess.run(["sh", "-c", script], check=True)
    assert path.read_text() == (
        'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=256M"\n'
    )


def test_kickstart(tmp_path: Path) -> None:
    text = kickstart.kickstart(_goals(tmp_path / "root", "el9"))
    assert text.startswith("%addon com_redhat_kdump --enable --reserve-mb='256'\n%end\n")
    sections = [line for line in text.splitlines() if line.startswith("%")]
    assert sections == ["%addon com_redhat_kdump --enable --reserve-mb='256'", "%end",
                        "%post", "%end"]  # fmt: skip
    assert "kernel.panic = 10\n" in text
    with pytest.raises(RefusedError):
        kickstart.kickstart(_goals(tmp_path / "debian", "debian12"))


def test_kickstart_writes_every_byte_and_ends_no_section_early(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    TREES["el9"](root, "")
    conf = root / "etc/kdump.conf"
    conf.write_bytes(b"# \xff it's `id` $(touch owned)\n%end\nKAUTOPSY_END\n" + conf.read_bytes())
    text = kickstart.kickstart(_goals(root, "el9"))
    assert [line for line in text.splitlines() if line.startswith("%")][-2:] == ["%post", "%end"]
    post = text.partition("%post\n")[2].removesuffix("%end\n")
    (tmp_path / "new/etc/sysctl.d").mkdir(parents=True)
    script = post.replace("/etc/", f"{tmp_path}/new/etc/").replace("grubby", "true")
    subprocess.run(["sh", "-euc", script], check=True, cwd=tmp_path)
    written = (tmp_path / "new/etc/kdump.conf").read_bytes()
    assert written.startswith(b"# \xff it's `id` $(touch owned)\n%end\nKAUTOPSY_END\n")
    assert b"core_collector makedumpfile -z -d 31\n" in written
    assert not (tmp_path / "owned").exists()


@pytest.mark.skipif(shutil.which("ignition-validate") is None, reason="no ignition-validate")
@pytest.mark.parametrize("name", ["coreos", "el9"])
def test_ignition_takes_it(name: str, tmp_path: Path) -> None:
    config = tmp_path / "config.ign"
    config.write_text(ignition.ignition(_goals(tmp_path / "root", name)))
    subprocess.run(["ignition-validate", str(config)], check=True)
    # It can say no.
    config.write_text(config.read_text().replace('"overwrite"', '"overwritten"', 1))
    config.write_text(config.read_text().replace("base64,", "base63,"))
    assert subprocess.run(["ignition-validate", str(config)], check=False).returncode


@pytest.mark.skipif(shutil.which("butane") is None, reason="no butane")
def test_butane_makes_the_same_ignition_of_it(tmp_path: Path) -> None:
    goals = _goals(tmp_path / "root", "coreos")
    done = subprocess.run(
        ["butane", "--strict"],
        input=ignition.butane(goals).encode(),
        capture_output=True,
        check=True,
    )
    made, ours = json.loads(done.stdout), json.loads(ignition.ignition(goals))
    assert made["kernelArguments"] == ours["kernelArguments"]
    assert made["systemd"] == ours["systemd"]
    assert made["ignition"]["version"] == ours["ignition"]["version"]
    assert {f["path"]: (f["mode"], f["contents"]["source"]) for f in made["storage"]["files"]} == {
        f["path"]: (f["mode"], f["contents"]["source"]) for f in ours["storage"]["files"]
    }


@pytest.mark.skipif(shutil.which("cloud-init") is None, reason="no cloud-init")
@pytest.mark.parametrize("name", ["debian12", "ubuntu", "el8", "el9", "fedora", "suse"])
def test_cloud_inits_schema_takes_it(name: str, tmp_path: Path) -> None:
    config = tmp_path / "user-data"
    config.write_text(cloud_init.user_data(_goals(tmp_path / "root", name)))
    command = ["cloud-init", "schema", "--config-file", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    config.write_text(config.read_text().replace("owner:", "owners:", 1))
    assert subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.skipif(not (_BIN / "ksvalidator").exists(), reason="no ksvalidator (pykickstart)")
@pytest.mark.parametrize(
    ("name", "version"),
    [("el6", "RHEL6"), ("el7", "RHEL7"), ("el8", "RHEL8"), ("el9", "RHEL9"), ("fedora", "F40")],
)
def test_pykickstart_takes_it(name: str, version: str, tmp_path: Path) -> None:
    config = tmp_path / "ks.cfg"
    text = kickstart.kickstart(_goals(tmp_path / "root", name))
    config.write_text(text)
    command = [str(_BIN / "ksvalidator"), "-v", version, str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    config.write_text(text.removesuffix("%end\n"))
    assert subprocess.run(command, capture_output=True, check=False).returncode
