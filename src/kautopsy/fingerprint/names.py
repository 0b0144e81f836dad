"""One spelling for a function, whatever compiler, architecture or kernel age printed it."""

from __future__ import annotations

from functools import lru_cache

from kautopsy.model.lazy import lazy_pattern

# Compilers rename the parts they cut a function into or clone it for: gcc `.isra.0`, `.part.3`,
# `.constprop.1`, `.cold`, `.lto_priv.0`; clang `.llvm.1234`, `.__uniq.1234`, `.cfi_jt`, `$hash`.
# A C name holds neither a dot nor a dollar, so all from the first of them goes. ppc64 ELFv1 puts a
# dot in *front* of the text symbol (`.eeh_dev_check_failure`).
_SUFFIX = lazy_pattern(r"[.$].*")

# SYSCALL_DEFINE spells one call in many ways: sys_ and SyS_/SYSC_ until 4.16, per-architecture
# wrappers since fa697140f9a2 ("syscalls/x86: Use 'struct pt_regs' based syscall calling
# convention", 4.17) with __se_sys_ and __do_sys_ inlined in them or not.
_SYSCALL = lazy_pattern(
    r"(?:"
    r"__(?:x64|x32|ia32|arm64|arm|riscv|s390x?|powerpc|loongarch|mips)_(?P<c1>compat_)?sys_"
    r"|__(?:do|se)_(?P<c2>compat_)?sys_"
    r"|(?P<c3>compat_)?(?:SyS|SYSC)_"
    r"|(?P<c4>C_)SYSC_"
    r"|(?P<c5>compat_)?sys_"
    r"|(?P<c6>stub32_|compat_)SyS_"
    r")(?P<name>[a-z]\w*)"
)

# What changes from one build to the next in a mangled Rust name: the hash of the legacy scheme
# (`...17h0123456789abcdefE`) and the crate disambiguators of v0 (`Csktjf9JQNZ8U_`).
_RUST_LEGACY_HASH = lazy_pattern(r"17h[0-9a-f]{16}E$")
_RUST_V0_CRATE = lazy_pattern(r"Cs[0-9A-Za-z]+_(?=\d)")


@lru_cache(maxsize=65536)
def normalise(function: str) -> str:
    """``function`` without what differs between builds of one source.

    >>> normalise("logfs_init_inode.isra.6"), normalise("__x64_sys_read"), normalise("SyS_read")
    ('logfs_init_inode', 'sys_read', 'sys_read')
    """
    name = function.lstrip(".")
    if name.startswith("_R"):
        return _RUST_V0_CRATE.sub("C", name)
    if name.startswith("_ZN"):
        return _RUST_LEGACY_HASH.sub("E", name)
    name = _SUFFIX.sub("", name)
    call = _SYSCALL.fullmatch(name)
    if call is None:
        return name
    compat = any(call[group] for group in ("c1", "c2", "c3", "c4", "c5", "c6"))
    return f"{'compat_' if compat else ''}sys_{call['name']}"
