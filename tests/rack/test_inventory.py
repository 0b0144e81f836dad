"""Inventories in TOML and Ansible's; passwords that are named and never written."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from tests.rack.machine import NODE, Machine

from kautopsy.cli._target import open_target
from kautopsy.cli.main import main
from kautopsy.host.inventory import load
from kautopsy.host.secrets import Secret
from kautopsy.model.errors import KautopsyError, UnreadableError, UsageError

_TOML = """\
[defaults]
jump = "bastion"
[defaults.bmc]
user = "ops"
password = { env = "BMC_PASSWORD" }
jump = "mgmt"

[hosts.db1]
ssh = "root@db1.example.com"
nodename = "db1"
serial = "CZJ1"
[hosts.db1.bmc]
address = "10.9.0.11"
user = "admin"

[hosts."web-1"]
jump = "other"
"""


def _write(folder: Path, text: str, name: str = "inventory.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_defaults_lie_under_what_a_machine_says(tmp_path: Path) -> None:
    inventory = load(_write(tmp_path, _TOML))
    db = inventory.machine("db1")
    assert (db.target, db.jump, db.nodename) == ("root@db1.example.com", "bastion", "db1")
    assert db.bmc is not None and (db.bmc.user, db.bmc.jump) == ("admin", "mgmt")
    web = inventory.machine("web-1")
    # A default of a BMC makes none where there is none.
    assert (web.target, web.jump, web.bmc) == ("web-1", "other", None)
    assert inventory.machine("me@db1").target == "me@db1.example.com"
    assert inventory.machine("user@elsewhere").target == "user@elsewhere"


@pytest.mark.parametrize("name", ["db*", "db[12]", "db1,db2", "db1 db2", "", "a;b"])
def test_nothing_means_several_machines(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        load(_write(tmp_path, _TOML)).machine(name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hosts = 3", "are tables"),
        ("[host.db1]\n", "knows only"),
        ("[hosts.db1\n", "is no TOML"),
        ("[hosts.db1]\nnodname = 'x'\n", "nodname"),
        ("[hosts.db1.bmc]\naddress = '1'\npassword = 'hunter2'\n", "never written"),
        ("[hosts.db1.bmc]\naddress = '1'\npassword = { env = 'A', file = 'b' }\n", "one of env"),
        ("[hosts.db1.bmc]\nuser = 'x'\n", "address"),
        ("[hosts.db1.bmc]\naddress = '-x'\n", "no address"),
        ("[hosts.db1.bmc]\naddress = '1'\nprivilege = 'root'\n", "no such privilege"),
        ("[hosts.db1.console]\ntcp = 'a:1'\nunix = '/b'\n", "exactly one"),
        ("[hosts.db1.cloud]\nkind = 'x'\ninstance = 'y'\n", "no such cloud"),
    ],
)
def test_what_an_inventory_cannot_say(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError) as caught:
        load(_write(tmp_path, text))
    assert why in str(caught.value) and "hunter2" not in str(caught.value)
    assert caught.value.slug == "bad-inventory"


def test_without_one_a_name_is_for_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("KAUTOPSY_INVENTORY", raising=False)
    assert load().machine("db1").target == "db1"
    monkeypatch.setenv("KAUTOPSY_INVENTORY", str(tmp_path / "none.toml"))
    with pytest.raises(UnreadableError):
        load()


def test_passwords_are_found_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A", "from env")
    (tmp_path / "file").write_text("from file\nmore\n")
    pass_ = tmp_path / "pass"
    pass_.write_text('#!/bin/sh\n[ "$1" = bmc/db1 ] && echo "from pass" && echo user: x\n')
    keyring = tmp_path / "keyring"
    keyring.write_text('#!/bin/sh\necho "$1-$2-$3"\n')
    for program in (pass_, keyring):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert Secret(env="A").reveal() == "from env"
    assert Secret(file=str(tmp_path / "file")).reveal() == "from file"
    assert Secret(command=("pass", "bmc/db1")).reveal() == "from pass"
    assert Secret(keyring="bmc/ops").reveal() == "get-bmc-ops"
    for lost in (
        Secret(env="NOT_SET"),
        Secret(file=str(tmp_path / "none")),
        Secret(command=("pass", "other")),
        Secret(command=("no-such-program",)),
    ):
        with pytest.raises(KautopsyError):
            lost.reveal()
    assert "from" not in repr(Secret(env="A"))


_INI = """\
[databases]
db1 ansible_host=db1.example.com ansible_user=root ansible_port=2222
db2 ansible_ssh_common_args='-o ProxyJump=bastion -o Compression=yes'

[databases:vars]
ansible_ssh_private_key_file=/keys/id

[local]
here ansible_connection=local
"""
_YAML = """\
all:
  children:
    databases:
      hosts:
        db1: { ansible_host: db1.example.com, kautopsy: { nodename: db1, serial: CZJ1 } }
        db2: { kautopsy: { bmc: { address: 10.0.0.2, password: { env: X } } } }
"""


@pytest.fixture
def ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", f"{folder}:/usr/local/bin:/usr/bin:/bin")
    if shutil.which("ansible-inventory") is None:
        pytest.skip("Ansible is not installed")


@pytest.mark.usefixtures("ansible")
def test_ansibles_inventory_is_read_by_ansible(tmp_path: Path) -> None:
    inventory = load(_write(tmp_path, _INI, "hosts.ini"))
    db1, db2 = inventory.machine("db1"), inventory.machine("db2")
    assert db1.target == "root@db1.example.com"
    assert db1.options == ("Port=2222", "IdentityFile=/keys/id")
    assert (db2.target, db2.jump) == ("db2", "bastion")
    assert "Compression=yes" in db2.options
    assert inventory.machine("here").target == "local"
    inventory = load(_write(tmp_path, _YAML, "hosts.yml"))
    assert (inventory.machine("db1").nodename, inventory.machine("db1").serial) == ("db1", "CZJ1")
    bmc = inventory.machine("db2").bmc
    assert bmc is not None and bmc.address == "10.0.0.2"


@pytest.mark.usefixtures("ansible")
def test_what_ansible_cannot_read(tmp_path: Path) -> None:
    for text in ("all: [", "all:\n  hosts:\n    db1: { kautopsy: { nodname: x } }\n"):
        with pytest.raises(UnreadableError) as caught:
            load(_write(tmp_path, text, "hosts.yml"))
        assert caught.value.slug == "bad-inventory"
    with pytest.raises(UnreadableError):
        load(tmp_path / "none.yml")


def test_every_verb_finds_a_machine_of_the_inventory(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """``doctor``, ``arm`` and ``symbols kit`` too, by the options that stand there."""
    with open_target("db") as host:
        assert host.run(["uname", "-n"]).text.strip() == NODE
    with open_target("root@db") as host:
        assert host.name == "root@127.0.0.1"
    main(["doctor", "db", "--json"])
    assert '"checks": [' in capsys.readouterr().out
