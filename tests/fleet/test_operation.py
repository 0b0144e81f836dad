"""Running it: settings, backup and restore, the commands, units and manifests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from sqlalchemy import Table, func, select
from tests.fleet.samples import console, sighting

from kautopsy.cli.main import main
from kautopsy.fleet import schema
from kautopsy.fleet.backup import backup, restore
from kautopsy.fleet.changes import people as change_people
from kautopsy.fleet.changes import triage
from kautopsy.fleet.database import Database
from kautopsy.fleet.files import DataFolder
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.nouns import FleetStatus, Ingested, Reanalysis, Role
from kautopsy.fleet.queries import groups, people
from kautopsy.fleet.settings import load, size
from kautopsy.model.base import from_json
from kautopsy.model.errors import KautopsyError, RefusedError, UnreadableError, UsageError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def _rows(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in schema.metadata.sorted_tables
        }


def test_a_backup_is_restored_into_either_kind(
    store: Database, tmp_path: Path, postgres_url: str
) -> None:
    with store.write() as connection:
        record(connection, [sighting(n, f"web{n}") for n in range(5)])
        record(connection, [sighting(9, function="other_fault")])
        triage.merge(connection, 1, 2, by="anna")
        change_people.add_account(connection, "anna", role=Role.ADMIN, by="setup")
        _number, secret = change_people.add_token(connection, name="t", role=Role.VIEWER, by="anna")
    data = DataFolder(tmp_path / "data")
    (data.root / "received" / "ab").mkdir()
    (data.root / "received" / "ab" / "abc").write_bytes(b"a dump")
    counts = backup(store, tmp_path / "b.tar", data=data)
    assert counts["crash"] == 6
    other = DataFolder(tmp_path / "other")
    with Database.open(str(tmp_path / "new.sqlite")) as new:
        assert restore(new, tmp_path / "b.tar", data=other) == counts
        assert _rows(new) == _rows(store)
        with new.read() as connection:
            assert groups.row(connection, 1).id == 2
            token = people.token(connection, secret)
            assert token is not None and token.role is Role.VIEWER
        # Numbers go on where they were.
        with new.write() as connection:
            assert record(connection, [sighting(50, function="third_fault")]).new_groups == 1
        with pytest.raises(RefusedError, match="not-empty"):
            restore(new, tmp_path / "b.tar")
    assert (other.root / "received" / "ab" / "abc").read_bytes() == b"a dump"


def test_from_sqlite_to_postgresql(tmp_path: Path, store: Database) -> None:
    with Database.open(str(tmp_path / "old.sqlite")) as old:
        with old.write() as connection:
            record(connection, [sighting(n, f"web{n}") for n in range(3)])
        backup(old, tmp_path / "b.tar")
        restore(store, tmp_path / "b.tar")
        assert _rows(store) == _rows(old)
    with store.write() as connection:
        assert record(connection, [sighting(n, f"web{n}") for n in range(4)]).new == 1


def test_what_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"nonsense" * 1000)
    with (
        Database.open(str(tmp_path / "new.sqlite")) as new,
        pytest.raises(UnreadableError, match="no-backup"),
    ):
        restore(new, tmp_path / "x.tar")


def test_settings_of_file_environment_and_command_line(tmp_path: Path) -> None:
    config = tmp_path / "fleet.toml"
    config.write_text(
        'database = "sqlite:////a"\nmemory-limit = "2G"\nworkers = 3\n[web]\nlisten = "x"\n'
    )
    found = load(config, {"workers": None}, {})
    assert (found.database, found.memory_limit, found.workers) == ("sqlite:////a", 2 << 30, 3)
    environment = {"KAUTOPSY_FLEET_WORKERS": "5", "KAUTOPSY_FLEET_DISK_BUDGET": "1T"}
    found = load(config, {"database": "sqlite:////b"}, environment)
    assert (found.database, found.workers, found.disk_budget) == ("sqlite:////b", 5, 1 << 40)
    assert load(None, {}, {"KAUTOPSY_FLEET_CONFIG": str(config)}).workers == 3
    for text, error in (
        ("wokers = 3", UsageError),
        ("workers = 'many'", UsageError),
        ("memory-limit = 'much'", UsageError),
        ("= 3", UnreadableError),
    ):
        config.write_text(text)
        with pytest.raises(error):
            load(config, {}, {})
    with pytest.raises(UnreadableError, match="no-config"):
        load(tmp_path / "nowhere.toml", {}, {})
    assert [size(v) for v in ("1", "2k", "3 MiB", 4)] == [1, 2048, 3 << 20, 4]


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAUTOPSY_FLEET_DATA", str(tmp_path / "data"))
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(3):
        (logs / f"web{number}.log").write_text(console(number))

    def run(*words: str) -> str:
        assert main(["fleet", *words]) == 0
        return capsys.readouterr().out

    document = from_json(run("ingest", str(logs), "--json"), Ingested)
    assert (document.files, document.new_crashes, document.new_groups) == (3, 3, 1)
    assert from_json(run("ingest", str(logs), "--json"), Ingested).unchanged == 3
    assert "3 files (3 known already)" in run("ingest", str(logs))
    status = from_json(run("status", "--json"), FleetStatus)
    assert (status.hosts, status.crashes, status.deaths, status.outdated) == (3, 3, 3, 0)
    assert "frob_start" in run("status")
    assert from_json(run("reanalyse", "--json"), Reanalysis).moved == ()
    run("backup", str(tmp_path / "b.tar"))
    run("restore", str(tmp_path / "b.tar"), "--data", str(tmp_path / "two"))
    assert '"crashes": 3' in run("status", "--json", "--data", str(tmp_path / "two"))
    assert "deleted 0 files" in run("retain")


@pytest.mark.parametrize(
    ("words", "code", "slug"),
    [
        (["ingest", "/nowhere"], 3, "no-such-file"),
        (["status", "--database", "mysql://x"], 2, "bad-database"),
        (["status", "--database", "postgresql://x@/y?host=/nowhere"], 3, "no-database"),
        (["status", "--config", "/nowhere.toml"], 3, "no-config"),
        (["restore", "/nowhere.tar"], 3, "no-such-file"),
        (["watch", "/nowhere"], 3, "no-such-file"),
        (["doctor", "--inventory", "/nowhere"], 3, "no-inventory"),
        (["worker", "nonsense"], 2, "usage"),
        (["ingest", "/dev/null", "--workers", "-1"], 2, "bad-setting"),
    ],
)
def test_bad_input_is_one_clear_line(
    words: list[str],
    code: int,
    slug: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KAUTOPSY_FLEET_DATA", str(tmp_path / "data"))
    assert main(["fleet", *words]) == code
    error = capsys.readouterr().err.strip()
    assert slug in error and len(error.splitlines()) == 1 and "Traceback" not in error


def test_without_the_extra_one_line_says_so(tmp_path: Path) -> None:
    # None in sys.modules is how Python says that there is no such module.
    code = (
        "import sys, importlib.util as u\n"
        "for name in ('sqlalchemy', 'alembic', 'distributed', 'scipy'): sys.modules[name] = None\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda n, p=None: None if sys.modules.get(n, 0) is None else real(n, p)\n"
        "from kautopsy.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "fleet", "status"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        "kautopsy: missing-tool: sqlalchemy: is not installed "
        "(the fleet needs more packages: pip install 'kautopsy[fleet]')"
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "fleet" in done.stdout


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom kautopsy.cli.main import main\n"
        "try: main(['fleet', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'alembic', 'distributed', 'dask', 'scipy', 'numpy', 'drgn'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"


def test_manifests_are_what_kubernetes_takes() -> None:
    """Offline: every workload is restricted, selects its own pods, and mounts what it names."""
    documents = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/fleet.yaml").read_text()))
    kinds = [document["kind"] for document in documents]
    assert kinds.count("Deployment") == 4 and "NetworkPolicy" in kinds
    for document in documents:
        # Every field by the API's own schema: a name that is spelt wrong is an error.
        kubernetes_validate.validate(document, "1.29", strict=True)
    claims = {d["metadata"]["name"] for d in documents if d["kind"] == "PersistentVolumeClaim"}
    services = {
        d["metadata"]["name"]: d["spec"]["selector"] for d in documents if d["kind"] == "Service"
    }
    labels = []
    for document in documents:
        if document["kind"] not in ("Deployment", "CronJob"):
            continue
        spec = document["spec"]
        template = spec.get("template") or spec["jobTemplate"]["spec"]["template"]
        labels.append(template["metadata"]["labels"])
        if "selector" in spec:
            assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert all(
            volume["persistentVolumeClaim"]["claimName"] in claims
            for volume in volumes.values()
            if "persistentVolumeClaim" in volume
        )
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys()
            text = json.dumps(container["command"])
            assert set(re.findall(r"tcp://([^:]+):", text)) <= services.keys()
    for selector in services.values():
        assert any(selector.items() <= one.items() for one in labels)


def test_the_schema_of_kubernetes_finds_a_slip() -> None:
    text = (ROOT / "deploy/kubernetes/fleet.yaml").read_text()
    for right, wrong in (("containerPort:", "containerport:"), ("cpu: 100m", "cpu: [1]")):
        documents = yaml.safe_load_all(text.replace(right, wrong))
        with pytest.raises(kubernetes_validate.ValidationError):
            for document in documents:
                kubernetes_validate.validate(document, "1.29", strict=True)


UNITS = [p for p in sorted((ROOT / "deploy/systemd").iterdir()) if p.suffix != ".sysusers"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_are_what_systemd_takes(unit: Path, tmp_path: Path) -> None:
    if not any(Path(folder, "systemd-analyze").exists() for folder in os.get_exec_path()):
        pytest.skip("systemd is not installed")
    for one in unit.parent.iterdir():
        text = one.read_text().replace("/usr/bin/kautopsy", sys.executable)
        (tmp_path / one.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "kautopsy" in line]
    assert said == []


def test_secrets_are_kept_as_hashes_and_end(store: Database) -> None:
    with store.write() as connection:
        change_people.add_account(
            connection, "anna", role=Role.ADMIN, password_hash="$argon2id$x", by="setup"
        )
        change_people.add_account(connection, "ben", role=Role.VIEWER, by="anna")
        secret, csrf = change_people.start_session(connection, "anna", seconds=60)
        number, token = change_people.add_token(
            connection, name="web01", role=Role.HOST, host="web01", seconds=60, by="anna"
        )
    raw = [
        row
        for table in (schema.session, schema.token)
        for row in _all(store, table)
        if secret in repr(row) or token in repr(row)
    ]
    assert raw == []
    with store.write() as connection:
        found = people.session(connection, secret)
        assert found is not None and (found.account.name, found.csrf) == ("anna", csrf)
        assert people.session(connection, secret, now=9e9) is None
        assert people.session(connection, "forged") is None
        known = people.token(connection, token)
        assert known is not None and (known.host, known.role) == ("web01", Role.HOST)
        assert people.token(connection, token, now=9e9) is None
        assert not Role.HOST.may(Role.VIEWER) and Role.ADMIN.may(Role.TRIAGER)
        change_people.revoke_token(connection, number, by="anna")
        assert people.token(connection, token) is None
        with pytest.raises(KautopsyError, match="no-such-token"):
            change_people.revoke_token(connection, number, by="anna")
        change_people.change_account(connection, "anna", password_hash="new", by="anna")
        assert people.session(connection, secret) is None
        assert people.password_hash(connection, "anna") == "new"
        with pytest.raises(UsageError, match="bad-token"):
            change_people.add_token(connection, name="x", role=Role.HOST, by="anna")
        with pytest.raises(UsageError, match="account-exists"):
            change_people.add_account(connection, "ben", role=Role.VIEWER, by="anna")
    with pytest.raises(UsageError, match="last-admin"), store.write() as connection:
        change_people.change_account(connection, "anna", active=False, by="anna")
    with store.read() as connection:
        anna = people.account(connection, "anna")
        assert anna is not None and anna.active


def _all(store: Database, table: Table) -> list[object]:
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(select(table))]
