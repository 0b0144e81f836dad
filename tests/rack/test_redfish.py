"""Redfish's Nmi over real TLS, with a service of our own that has the faults of real ones."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.rack.machine import Machine

from kautopsy.host.inventory import Bmc
from kautopsy.host.secrets import Secret
from kautopsy.host.ssh import SshHost
from kautopsy.lab.bmc.redfish import Redfish, RedfishConfig, RedfishFault
from kautopsy.model.errors import KautopsyError
from kautopsy.trigger.redfish import RedfishWay

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def _service(folder: Path, **what: object) -> Iterator[tuple[Redfish, Bmc, list[int]]]:
    nmis: list[int] = []
    config = RedfishConfig(serial="7G70H73", hostname="rack-7", **what)  # type: ignore[arg-type]
    password = folder / "password"
    password.write_text("lab-admin\nsecond line\n")
    with Redfish(config, folder, lambda: nmis.append(1)) as service:
        bmc = Bmc(
            address=config.name,
            user="admin",
            password=Secret(file=str(password)),
            redfish=service.url.replace(config.address, config.name),
            ca=str(service.certificate),
        )
        yield service, bmc, nmis


def test_it_is_found_identified_and_sends_one_nmi(tmp_path: Path) -> None:
    with _service(tmp_path, uuid="4C4C4544-0037-3010-8048-B7C04F4D3733") as (_one, bmc, nmis):
        way = RedfishWay(bmc)
        ability = way.can()
        assert ability.possible and "1 is on" in ability.why
        whose = way.whose()
        assert whose is not None and (whose.serials, whose.names) == (("7G70H73",), ("rack-7",))
        assert whose.uuid == "4c4c4544-0037-3010-8048-b7c04f4d3733"
        assert "204" in way.fire() and nmis == [1]


def test_what_it_allows_is_looked_at_and_not_trusted(tmp_path: Path) -> None:
    with _service(tmp_path, fault=RedfishFault.UNADVERTISED) as (_one, bmc, nmis):
        assert RedfishWay(bmc).can().possible is None
        RedfishWay(bmc).fire()
        assert nmis == [1]
    with _service(tmp_path, fault=RedfishFault.UNIMPLEMENTED) as (_two, bmc, nmis):
        assert RedfishWay(bmc).can().possible
        with pytest.raises(KautopsyError) as caught:
            RedfishWay(bmc).fire()
        assert (caught.value.slug, nmis) == ("bmc-cannot", []) and "501" in caught.value.what
    with _service(tmp_path, state="Off") as (_three, bmc, nmis):
        assert RedfishWay(bmc).can().possible is False


@pytest.mark.parametrize(
    ("fault", "slug", "status", "words"),
    [
        (RedfishFault.INVALID, "bmc-cannot", 5, "HTTP 400: The parameter ResetType"),
        (RedfishFault.EXPIRED, "bmc-password", 4, "does not know this user"),
        (RedfishFault.BUSY, "bmc-busy", 4, "HTTP 503"),
    ],
)
def test_every_refusal_is_one_clear_line(
    fault: RedfishFault, slug: str, status: int, words: str, tmp_path: Path
) -> None:
    with _service(tmp_path, fault=fault) as (service, bmc, nmis):
        assert RedfishWay(bmc).can().possible
        with pytest.raises(KautopsyError) as caught:
            RedfishWay(bmc).fire()
        error = caught.value
        assert (error.slug, error.exit_code) == (slug, status)
        assert words in error.what and error.hint and "\n" not in str(error)
        assert service.nmis <= 1 and nmis == []


def test_a_task_that_takes_its_time_is_asked_for_once(tmp_path: Path) -> None:
    with _service(tmp_path, fault=RedfishFault.TASK) as (service, bmc, nmis):
        assert "202" in RedfishWay(bmc).fire()
        time.sleep(2)
        assert (service.nmis, nmis) == (1, [1])


def test_an_answer_that_does_not_come_is_no_second_nmi(tmp_path: Path) -> None:
    with _service(tmp_path, fault=RedfishFault.SLOW) as (service, bmc, nmis):
        with pytest.raises(KautopsyError) as caught:
            RedfishWay(bmc).fire()
        assert caught.value.exit_code == 4
        assert (service.nmis, nmis) == (1, [1])


def test_nobody_is_let_in_who_should_not_be(tmp_path: Path) -> None:
    with _service(tmp_path, password="another") as (_one, bmc, nmis):
        with pytest.raises(KautopsyError) as caught:
            RedfishWay(bmc).can()
        assert caught.value.slug == "bmc-password"
    with _service(tmp_path, fault=RedfishFault.FORBIDDEN) as (_two, bmc, nmis):
        with pytest.raises(KautopsyError) as caught:
            RedfishWay(bmc).fire()
        assert (caught.value.slug, nmis) == ("bmc-privilege", [])


def test_its_certificate_is_verified(tmp_path: Path) -> None:
    with _service(tmp_path) as (_one, bmc, nmis):
        for untrusted in (
            msgspec.structs.replace(bmc, ca=""),
            msgspec.structs.replace(bmc, ca=str(_other_certificate(tmp_path))),
        ):
            with pytest.raises(KautopsyError) as caught:
                RedfishWay(untrusted).fire()
            assert caught.value.slug == "bmc-certificate"
        assert nmis == []
        # Only who says so goes without.
        RedfishWay(msgspec.structs.replace(bmc, ca="", verify=False)).fire()
        assert nmis == [1]
    # The right authority, for another name.
    with _service(tmp_path, name="bmc-7.example") as (service, bmc, nmis):
        wrong = msgspec.structs.replace(bmc, redfish=service.url)
        with pytest.raises(KautopsyError) as caught:
            RedfishWay(wrong).fire()
        assert (caught.value.slug, nmis) == ("bmc-certificate", [])


def test_through_a_jump_host_the_bmcs_own_name_counts(machine: Machine, tmp_path: Path) -> None:
    """The machine is the jump host here; the URL's name means something only there."""
    (machine.root / "hosts").write_text("127.0.0.1 localhost bmc-7.example\n")
    with (
        _service(tmp_path, name="bmc-7.example") as (service, bmc, nmis),
        SshHost("root@127.0.0.1", options=machine.options, as_root=False) as jump,
    ):
        way = RedfishWay(bmc, jump)
        assert way.can().possible
        way.fire()
        assert nmis == [1]
        # Another name in the certificate is refused there, too.
        wrong = msgspec.structs.replace(bmc, redfish=service.url)
        with pytest.raises(KautopsyError) as caught:
            RedfishWay(wrong, jump).fire()
        assert caught.value.slug == "bmc-certificate"


def _other_certificate(folder: Path) -> Path:
    path = folder / "other.crt"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-subj", "/CN=other", "-keyout", str(folder / "k"), "-out", str(path)]
    subprocess.run(argv, check=True, capture_output=True)
    return path
