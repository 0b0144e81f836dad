"""QMP over a socket, and the commands of libvirt and the clouds with stand-ins on PATH."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.cli.trigger import WAYS
from kautopsy.host.inventory import Cloud, Libvirt
from kautopsy.model.errors import KautopsyError, MissingToolError
from kautopsy.trigger.programs import CloudWay, LibvirtWay
from kautopsy.trigger.qmp import QmpWay
from kautopsy.trigger.ways import NAMES

Fake = Callable[[str, str], Path]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """``fake(NAME, SHELL)`` puts a program on PATH; what it is called with is in ``NAME.argv``."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(name: str, shell: str) -> Path:
        program = tmp_path / name
        argv = tmp_path / f"{name}.argv"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{argv}\n{shell}\n')
        program.chmod(0o755)
        return argv

    return make


def test_the_command_offers_every_way_there_is() -> None:
    assert WAYS == NAMES


def test_virsh(fake: Fake) -> None:
    argv = fake(
        "virsh",
        'case "$*" in *domstate*) echo running ;;'
        " *domuuid*) echo 4c4c4544-0037-3010-8048-b7c04f4d3733 ;;"
        " *inject-nmi*) ;; esac",
    )
    way = LibvirtWay(Libvirt(domain="db;1", uri="qemu+ssh://root@node/system"))
    assert way.can().possible
    whose = way.whose()
    assert whose is not None and whose.uuid == "4c4c4544-0037-3010-8048-b7c04f4d3733"
    way.fire()
    assert argv.read_text().splitlines()[-1] == (
        "-q -c qemu+ssh://root@node/system inject-nmi --domain db;1"
    )
    fake("virsh", "echo shut off")
    assert way.can().possible is False
    fake("virsh", "echo 'error: failed to get domain' >&2; exit 1")
    with pytest.raises(KautopsyError, match="failed to get domain"):
        way.fire()


@pytest.mark.parametrize(
    ("cloud", "answer", "asked", "fired"),
    [
        (
            Cloud(kind="aws", instance="i-0abc", region="eu-west-1", profile="prod"),
            "echo 'An error occurred (DryRunOperation) when calling: Request would have succeeded,"
            " but DryRun flag is set.' >&2; exit 254",
            "ec2 send-diagnostic-interrupt --instance-id i-0abc --region eu-west-1"
            " --profile prod --dry-run",
            "ec2 send-diagnostic-interrupt --instance-id i-0abc --region eu-west-1 --profile prod",
        ),
        (
            Cloud(kind="gcloud", instance="db-1", zone="europe-west1-b", project="p"),
            "echo RUNNING",
            "compute instances describe db-1 --zone europe-west1-b --project p"
            " --format=value(status)",
            "compute instances send-diagnostic-interrupt db-1 --zone europe-west1-b --project p"
            " --quiet",
        ),
        (
            Cloud(kind="az", instance="db-1", group="rg"),
            "echo VM running",
            "vm get-instance-view --name db-1 --resource-group rg"
            " --query instanceView.statuses[1].displayStatus --output tsv",
            "serial-console send nmi --name db-1 --resource-group rg",
        ),
        (
            Cloud(kind="openstack", instance="db-1", profile="mycloud"),
            "echo ACTIVE",
            "--os-cloud mycloud server show db-1 -f value -c status",
            "--os-cloud mycloud --os-compute-api-version 2.17 server dump create db-1",
        ),
    ],
    ids=["aws", "gcloud", "az", "openstack"],
)
def test_clouds(fake: Fake, cloud: Cloud, answer: str, asked: str, fired: str) -> None:
    way = CloudWay(cloud)
    with pytest.raises(MissingToolError):
        way.can()
    argv = fake(cloud.kind, answer)
    assert way.can().possible
    assert argv.read_text().strip() == asked
    fake(cloud.kind, "")
    way.fire()
    assert argv.read_text().splitlines()[-1] == fired
    assert way.what == f"{cloud.kind} {fired}"
    whose = way.whose()
    assert whose is not None and whose.pinned == cloud.instance
    fake(cloud.kind, "echo 'AccessDenied: you may not' >&2; exit 1")
    with pytest.raises(KautopsyError) as caught:
        way.fire()
    assert (caught.value.slug, caught.value.exit_code) == ("not-allowed", 5)


def test_qmp(tmp_path: Path) -> None:
    path = str(tmp_path / "qmp")
    seen: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            answers = {
                "query-status": {"status": "running"},
                "query-uuid": {"UUID": "4C4C4544-0037-3010-8048-b7c04f4d3733"},
                "query-name": {"name": "db"},
            }
            for _ in range(3):
                client, _address = listener.accept()
                with client, client.makefile("rw") as stream:
                    stream.write('{"QMP": {"version": {}}}\n')
                    stream.flush()
                    for line in stream:
                        command = json.loads(line)["execute"]
                        seen.append(command)
                        stream.write(json.dumps({"return": answers.get(command, {})}) + "\n")
                        stream.flush()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        way = QmpWay(path)
        assert way.can().possible
        whose = way.whose()
        assert whose is not None and whose.uuid == "4c4c4544-0037-3010-8048-b7c04f4d3733"
        way.fire()
        thread.join(10)
    assert seen.count("inject-nmi") == 1
    with pytest.raises(KautopsyError) as caught:
        QmpWay(str(tmp_path / "none")).can()
    assert caught.value.exit_code == 4
