"""Whom to ask, what they say of their boots, and who died silently."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from tests.fleet.samples import sighting
from tests.host.sshd import SSHD, serve

from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.nouns import Ending
from kautopsy.fleet.queries import hosts, readiness
from kautopsy.fleet.readiness.ask import Told, ask_all, keep
from kautopsy.fleet.readiness.boots import settle
from kautopsy.fleet.readiness.identity import SCRIPT, Identity, parse
from kautopsy.fleet.readiness.inventory import Machine, expand, read_inventory
from kautopsy.model.errors import UnreadableError
from kautopsy.model.readiness import DoctorDocument

pytestmark = pytest.mark.slow

NOW = 1_795_000_000.0
IDS = [f"{n:032x}" for n in range(5)]
HEAD = f"""\
boot={IDS[3][:8]}-{IDS[3][8:12]}-{IDS[3][12:16]}-{IDS[3][16:20]}-{IDS[3][20:]}
btime={NOW - 1000:.0f}
now={NOW:.0f}
kernel=6.1.0-50-amd64
arch=x86_64
cmdline=BOOT_IMAGE=/vmlinuz root=/dev/sda1 crashkernel=512M
vendor=Dell Inc.
product=PowerEdge R750
bios=1.5.4
biosdate=04/01/2024
cpu model name=Intel(R) Xeon(R)
cpu cpu family=6
cpu model=106
cpu stepping=6
modules=ext4 xfs
livepatch=
"""
JOURNAL = HEAD + "".join(
    f"journal={n - 3} {IDS[n]} {NOW - 90_000 + n * 20_000} {end} {clean}\n"
    for n, end, clean in (
        (0, NOW - 71_000, 1),
        (1, NOW - 51_000, 0),
        (2, NOW - 31_000, 0),
        (3, NOW, 0),
    )
)


def _keep(store: Database, identity: Identity, name: str = "web01") -> None:
    with store.write() as connection:
        document = DoctorDocument(ready=True, checks=())
        keep(connection, Told(name, document, identity), now=identity.now)


def _endings(store: Database) -> list[str]:
    with store.read() as connection:
        boots = hosts.detail(connection, "web01").boots
    return [boot.ending.value for boot in reversed(boots)]


def test_boots_of_the_journal() -> None:
    identity = parse(JOURNAL)
    assert [boot.ending for boot in identity.boots] == [
        Ending.CLEAN,
        Ending.SILENT,
        Ending.SILENT,
        Ending.RUNNING,
    ]
    assert identity.machine.model == "Dell Inc. PowerEdge R750"
    assert identity.machine.firmware == "1.5.4 04/01/2024"
    assert identity.machine.cpu == "Intel(R) Xeon(R) (family: 0x6, model: 0x6a, stepping: 0x6)"


def test_boots_of_wtmp_where_the_journal_is_not_kept() -> None:
    text = HEAD + (
        "wtmp=reboot   system boot  6.1.0-50-amd64   Wed Nov 18 10:50:00 2026   still running\n"
        "wtmp=reboot   system boot  6.1.0-49-amd64   Tue Nov 17 08:00:00 2026 - crash\n"
        "wtmp=shutdown system down  6.1.0-49-amd64   Mon Nov 16 20:00:00 2026 - Tue Nov 17\n"
        "wtmp=reboot   system boot  6.1.0-49-amd64   Mon Nov 16 08:00:00 2026 - Mon Nov 16\n"
        "wtmp=\nwtmp=wtmp begins Mon Nov 16 08:00:00 2026\n"
    )
    endings = [boot.ending for boot in parse(text).boots]
    assert endings == [Ending.CLEAN, Ending.SILENT, Ending.RUNNING]


def test_who_died_silently_and_whose_crash_is_known(store: Database) -> None:
    with store.write() as connection:
        # The second boot left a crash, known before anybody asked; of the third nothing came.
        record(connection, [sighting(1, "web01", NOW - 50_900)])
    _keep(store, parse(JOURNAL))
    assert _endings(store) == ["clean", "crashed", "silent", "running"]
    with store.read() as connection:
        summary = readiness.summary(connection, now=NOW)
        assert (summary.silent, summary.silent_hosts, summary.crashed) == (1, 1, 1)
        assert readiness.silent_deaths(connection, since=0) == (("web01", NOW - 31_000),)
    # Its dump is found a week later: it did not die silently after all.
    with store.write() as connection:
        record(connection, [sighting(2, "web01", NOW - 30_900)])
        assert settle(connection) == 1
    assert _endings(store) == ["clean", "crashed", "crashed", "running"]


def test_a_boot_that_ran_when_somebody_looked_last(store: Database) -> None:
    first = parse(JOURNAL)
    _keep(store, first)
    later = dataclasses.replace(
        first,
        now=NOW + 9000,
        boots=(
            dataclasses.replace(
                first.boots[3], key=IDS[4], started=NOW + 5000, last_seen=NOW + 9000
            ),
        ),
    )
    _keep(store, later)
    # The journal was lost: nobody can tell how the fourth boot ended.
    assert _endings(store) == ["clean", "silent", "silent", "unknown", "running"]
    _keep(store, later)
    assert len(_endings(store)) == 5


def test_the_script_is_posix_and_answers_here() -> None:
    done = subprocess.run(
        ["sh", "-s"], input=SCRIPT, capture_output=True, text=True, timeout=120, check=True
    )
    identity = parse(done.stdout)
    assert identity.release == Path("/proc/sys/kernel/osrelease").read_text().strip()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    assert identity.boots[-1].running and identity.boots[-1].key == boot
    assert done.stderr == ""


def test_an_answer_of_something_else() -> None:
    with pytest.raises(UnreadableError, match="no-identity"):
        parse("Welcome to the switch\n")


def test_inventories(tmp_path: Path) -> None:
    ini = tmp_path / "hosts"
    ini.write_text(
        "# all of them\nbastion\n[web]\nweb[01:03].x ansible_user=root ansible_port=2222\n"
        "[web:vars]\nansible_user=nobody\n[all:children]\nweb\n"
        "[db]\ndb-[a:b] ansible_host=10.0.0.1\n"
    )
    found = read_inventory(ini)
    assert [machine.name for machine in found] == [
        "bastion", "web01.x", "web02.x", "web03.x", "db-a", "db-b"
    ]  # fmt: skip
    assert found[1] == Machine("web01.x", "root@web01.x", ("Port=2222",))
    assert found[4].target == "10.0.0.1"
    yaml = tmp_path / "hosts.yml"
    yaml.write_text(
        "all:\n  children:\n    web:\n      vars: {ansible_user: root}\n      hosts:\n"
        "        web[1:2]:\n        odd: {ansible_host: 10.0.0.2}\n"
    )
    assert [machine.target for machine in read_inventory(yaml)] == [
        "root@web1", "root@web2", "root@10.0.0.2"
    ]  # fmt: skip
    listed = tmp_path / "list.json"
    listed.write_text(
        json.dumps({"_meta": {"hostvars": {"a": {"ansible_port": 22}}}, "all": {"hosts": ["b"]}})
    )
    assert [machine.name for machine in read_inventory(listed)] == ["a", "b"]
    assert expand("n[01:05:2]") == ["n01", "n03", "n05"]
    for text, name in (("{]", "x.json"), ("- a: [", "x.yaml"), ("# none\n", "x")):
        (tmp_path / name).write_text(text)
        with pytest.raises(UnreadableError):
            read_inventory(tmp_path / name)


@pytest.mark.skipif(SSHD is None, reason="sshd is not installed (Debian: openssh-server)")
def test_real_machines_over_ssh(store: Database, tmp_path: Path) -> None:
    folder = tmp_path / "sshd"
    folder.mkdir()
    with serve(folder) as server:
        server.know()
        machines = [Machine(f"m{n}", server.name) for n in range(3)]
        machines.append(Machine("gone", "root@127.0.0.1", ("ConnectTimeout=2", "Port=1")))
        told: list[Told] = []
        ask_all(store, machines, at_a_time=2, options=server.options, on_told=told.append)
    assert {one.name for one in told} == {"m0", "m1", "m2", "gone"}
    with store.read() as connection:
        summary = readiness.summary(connection)
        assert (summary.hosts, summary.unreached) == (4, 1)
        detail = hosts.detail(connection, "m1")
        assert detail.doctor is not None and detail.doctor.checks
        assert detail.boots[0].ending is Ending.RUNNING
        release = Path("/proc/sys/kernel/osrelease").read_text().strip()
        assert ("kernel", release) in detail.attributes
        (gone,) = readiness.by_reason(connection, "")
        assert gone.host == "gone" and not gone.reached and gone.reason
