import pytest
from hypothesis import given
from hypothesis import strategies as st

from kautopsy.fingerprint.names import normalise


@pytest.mark.parametrize(
    ("printed", "name"),
    [
        ("logfs_init_inode.isra.6", "logfs_init_inode"),
        ("copy_process.part.3", "copy_process"),
        ("rt_se_boosted.constprop.0.isra.0", "rt_se_boosted"),
        ("nmi_cpu_backtrace.cold", "nmi_cpu_backtrace"),
        ("kasan_report.cold.7", "kasan_report"),
        ("bpf_check.llvm.13480", "bpf_check"),
        ("do_one$a3f1", "do_one"),
        (".eeh_dev_check_failure", "eeh_dev_check_failure"),
        ("bio_endio", "bio_endio"),
        ("sysfs_create_file", "sysfs_create_file"),
        ("sysrq_handle_crash", "sysrq_handle_crash"),
        ("__sys_sendmsg", "__sys_sendmsg"),
    ],
)
def test_compilers_suffixes_go_and_names_stay(printed: str, name: str) -> None:
    assert normalise(printed) == name


# One SYSCALL_DEFINE through the ages and architectures (include/linux/syscalls.h and
# arch/*/include/asm/syscall_wrapper.h of 2.6.32, 4.9, 4.17 and 6.12).
@pytest.mark.parametrize(
    "printed",
    [
        "sys_mount",
        "SyS_mount",
        "SYSC_mount",
        "__x64_sys_mount",
        "__ia32_sys_mount",
        "__arm64_sys_mount",
        "__riscv_sys_mount",
        "__s390x_sys_mount",
        "__se_sys_mount",
        "__do_sys_mount",
    ],
)
def test_a_system_call_has_one_name(printed: str) -> None:
    assert normalise(printed) == "sys_mount"


@pytest.mark.parametrize(
    "printed",
    ["compat_sys_ioctl", "compat_SyS_ioctl", "C_SYSC_ioctl", "__ia32_compat_sys_ioctl",
     "__se_compat_sys_ioctl", "__do_compat_sys_ioctl"],
)  # fmt: skip
def test_a_compat_call_is_another(printed: str) -> None:
    assert normalise(printed) == "compat_sys_ioctl"


def test_rust_names_lose_what_a_build_adds() -> None:
    one = "_RNvXCsktjF9JQNZ8U_5rnullNtB2_13NullBlkModuleNtCs1cdwasc6FUb_6kernel6Module4init"
    two = "_RNvXCsaBcDeFgHiJk_5rnullNtB2_13NullBlkModuleNtCs9xyzasc6FUb_6kernel6Module4init"
    assert normalise(one) == normalise(two)
    assert normalise(one) != normalise(one.replace("rnull", "rfull"))
    legacy = "_ZN6kernel4sync3arc17h{}E"
    assert normalise(legacy.format("0123456789abcdef")) == normalise(legacy.format("f" * 16))


@given(st.text(alphabet="_.$sySCcompat64xdoEZNRh017f", max_size=60))
def test_a_normal_name_is_normal(name: str) -> None:
    assert normalise(normalise(name)) == normalise(name)
