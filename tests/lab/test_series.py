import pytest

from kautopsy.lab.kernels import image_pattern
from kautopsy.lab.series import SERIES, find_series
from kautopsy.model.errors import ExitCode, UsageError


def test_the_four_kernels_come_from_the_suites_that_have_them() -> None:
    suites = {name: series.suite for name, series in SERIES.items()}
    assert suites == {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "7.2": "sid"}


def test_an_unknown_kernel_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        find_series("4.19")
    assert caught.value.exit_code is ExitCode.USAGE
    assert "5.10, 6.1, 6.12, 7.2" in caught.value.hint


# Names as the archives of the four suites have them.
@pytest.mark.parametrize(
    ("series", "name", "release"),
    [
        ("5.10", "linux-image-5.10.0-32-cloud-amd64", "5.10.0-32-cloud-amd64"),
        ("6.12", "linux-image-6.12.107+deb13-cloud-amd64", "6.12.107+deb13-cloud-amd64"),
        ("7.2", "linux-image-7.2.13+deb14-cloud-amd64", "7.2.13+deb14-cloud-amd64"),
        ("6.12", "linux-image-6.12.107+deb13-cloud-amd64-dbg", None),
        ("6.12", "linux-image-6.12.107+deb13-cloud-amd64-unsigned", None),
        ("7.2", "linux-image-7.2.13+deb14-rt-amd64", None),
        ("6.1", "linux-image-6.12.107+deb13-cloud-amd64", None),
        ("6.1", "linux-image-6.1.0-50-cloud-arm64", None),
    ],
)
def test_image_names(series: str, name: str, release: str | None) -> None:
    match = image_pattern(series).fullmatch(name)
    assert (match[1] if match else None) == release
