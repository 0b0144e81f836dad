"""Having a word on the kernel's command line at the next boot, and for kernels to come.

Where the distribution has a program for it, that program does it; a tree's files, and those of
loaders without one, are edited. Templates come before what is generated from them: whoever stops in
between leaves a machine that boots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kautopsy.arming.answers import ask
from kautopsy.arming.bootloader import bls, default_grub, grub2, grub_legacy, kernel_cmdline, zipl
from kautopsy.arming.bootloader.grubenv import variables, with_variable
from kautopsy.arming.bootloader.next_entry import next_entry
from kautopsy.arming.bootloader.words import has_word, values_of, with_values
from kautopsy.arming.deeds import CommandDeed, Deed
from kautopsy.arming.files import Files
from kautopsy.host.host import Host
from kautopsy.model.host import HostFacts, Loader

NAME = "crashkernel"
_GRUB = default_grub.PATH
_CMDLINE = "/etc/kernel/cmdline"
_ZIPL = "/etc/zipl.conf"
_ENTRIES = (
    "/boot/loader/entries/*.conf",
    "/boot/efi/loader/entries/*.conf",
    "/efi/loader/entries/*.conf",
)
_CONFIGS = ("/boot/grub2/grub.cfg", "/boot/grub/grub.cfg", "/boot/efi/EFI/*/grub.cfg")
_GRUBBY_TOUCHES = (
    "/boot/grub/grub.conf",
    "/boot/grub2/grub.cfg",
    "/boot/grub2/grubenv",
    "/boot/loader/entries/*.conf",
    "/boot/efi/EFI/*/grub.conf",
    "/boot/efi/EFI/*/grub.cfg",
    "/boot/efi/EFI/*/grubenv",
    _CMDLINE,
    _GRUB,
    _ZIPL,
)


@dataclass
class Changes:
    """Steps in order, and what is left to the operator."""

    deeds: list[Deed] = field(default_factory=list)
    manual: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Defaults:
    """Where a family puts words for GRUB 2, unless they stand somewhere already.

    :ivar path: of /etc/default/grub or a file beside it
    :ivar comes: what ``path`` will hold once the package is installed; None if it is no package's
    """

    variable: str
    path: str = _GRUB
    comes: str | None = None


def change(facts: HostFacts, files: Files, values: Sequence[str], defaults: Defaults) -> Changes:
    """The steps that put ``crashkernel=`` there once for each of ``values``."""
    loader = facts.boot.loader if facts.boot else None
    words = [f"{NAME}={value}" for value in values]
    if facts.ostree and "rpm-ostree" in facts.tools:
        asked = values_of(facts.boot.arguments if facts.boot else (), NAME)
        return Changes([] if asked == list(values) else [_rpm_ostree(facts, values)])
    if facts.boot is not None and facts.boot.hypervisor:
        return Changes(manual=[_xens(facts, values)])
    if loader is Loader.GRUB_LEGACY:
        return _legacy(facts, files, values)
    if loader is Loader.GRUB2:
        return _generated(facts, files, values, defaults)
    if loader is Loader.GRUB2_BLS:
        return _bls(facts, files, values, defaults)
    if loader is Loader.SYSTEMD_BOOT:
        return _edited_entries(files, values)
    if loader is Loader.ZIPL:
        return _zipl(facts, files, values)
    if facts.templates and facts.templates[0].source == _CMDLINE:
        return Changes(
            [*_cmdline(files, values)],
            [
                f"build the kernel images of which {_CMDLINE} is a part anew: mkinitcpio -P, or"
                " kernel-install add-all"
            ],
        )
    return Changes(
        manual=[f"add {' '.join(words)} to the kernel's command line in your boot loader"]
    )


def _xens(facts: HostFacts, values: Sequence[str]) -> str:
    """Xen reserves the memory itself, and knows ranges but neither ``high`` nor ``low``."""
    assert facts.boot is not None
    size = next((v for v in values if "," not in v or "-" in v), values[0].partition(",")[0])
    if facts.boot.loader is Loader.GRUB_LEGACY:
        return f"the next boot starts Xen: add {NAME}={size} to its line in {facts.boot.source}"
    tool = next(iter(_mkconfig(facts, facts.boot.source)), "grub2-mkconfig")
    where = "" if tool == "update-grub" else f" -o {facts.boot.source}"
    return (
        f"the next boot starts Xen, which reserves the memory: add {NAME}={size} to"
        f" GRUB_CMDLINE_XEN_DEFAULT in {_GRUB}, then {tool}{where}"
    )


def _legacy(facts: HostFacts, files: Files, values: Sequence[str]) -> Changes:
    paths = files.expand("/boot/grub/grub.conf", "/boot/efi/EFI/*/grub.conf")
    changes = Changes()
    for path in paths or files.expand("/boot/grub/menu.lst"):
        changes.deeds += files.edit(
            f"ask for memory in every entry of {path}",
            path,
            lambda text: grub_legacy.with_values(text or "", NAME, values),
        )
    if changes.deeds and "grubby" in facts.tools:
        return Changes([_grubby(facts, values)])
    return changes


def _template_files(files: Files) -> list[str]:
    paths = (_GRUB, *files.expand("/etc/default/grub.d/*.cfg"))
    return [path for path in paths if files.bytes(path) is not None]


def _place(files: Files, values: Sequence[str], defaults: Defaults) -> tuple[str, str]:
    """The file and the variable that shall have it: where it stands last, or in the default.

    A later assignment may throw away what stands there (cloud images set
    GRUB_CMDLINE_LINUX_DEFAULT anew in grub.d); then at the end, added to whatever came before: the
    variable is "".
    """
    texts = {path: files.text(path) or "" for path in _template_files(files)}
    fallback = (defaults.path, defaults.variable)
    places = [
        (path, variable)
        for path in reversed(default_grub.in_order(tuple(texts)))
        for variable in reversed(default_grub.holders(texts[path], NAME))
    ]
    if defaults.comes is not None and defaults.path not in texts:
        texts[defaults.path] = defaults.comes
        places = [fallback]
    last = default_grub.in_order(tuple(texts))[-1] if texts else defaults.path
    if last.startswith(default_grub.FOLDER) and last != defaults.path:
        last = f"{default_grub.FOLDER}/zz-kautopsy.cfg"
    end = (last, "")
    wanted = [f"{NAME}={value}" for value in values]
    others = [word for word in default_grub.arguments(texts) if not has_word((word,), NAME)]
    for path, variable in (*places, fallback):
        words = default_grub.arguments(_edited(texts, path, variable, values))
        # Every other word stays, and ours counts, once.
        if sorted(words) == sorted((*others, *wanted)):
            return path, variable
    return end


def _edited(
    texts: Mapping[str, str], path: str, variable: str, values: Sequence[str]
) -> dict[str, str]:
    """All template files with the values in one of them, and nowhere else."""
    after = {other: default_grub.without(text, NAME) for other, text in texts.items()}
    after[path] = _written(path, texts.get(path, ""), variable, values)
    return after


def _written(path: str, text: str, variable: str, values: Sequence[str]) -> str:
    if not variable:
        return default_grub.at_the_end(text, NAME, values)
    return default_grub.with_values(text, variable, NAME, values, goes_on=path != _GRUB)


def _templates(files: Files, values: Sequence[str], defaults: Defaults) -> list[Deed]:
    """/etc/default/grub and its folder, where it shall stand once."""
    paths = _template_files(files)
    path, variable = _place(files, values, defaults)
    deeds: list[Deed] = []
    for other in paths:
        if other != path:
            deeds += files.edit(
                f"take crashkernel= out of {other}",
                other,
                lambda text: default_grub.without(text or "", NAME),
            )
    deeds += files.edit(
        f"ask for memory in {path}, for this kernel and those to come",
        path,
        lambda text: _written(path, text or "", variable, values),
        comes=(defaults.comes or "") if path == defaults.path else "",
    )
    return deeds


def _generated(
    facts: HostFacts, files: Files, values: Sequence[str], defaults: Defaults
) -> Changes:
    """A grub.cfg that grub-mkconfig wrote."""
    assert facts.boot is not None
    config = facts.boot.source
    deeds = _templates(files, values, defaults)
    wanted = values_of(facts.boot.arguments, NAME) != list(values)
    if not deeds and not wanted:
        return Changes()
    argv = _mkconfig(facts, config)
    if argv:
        touches = (config, f"{config}.new", "/boot/grub2/grubenv")
        deeds.append(
            CommandDeed(f"make {config} anew", argv, touches, renew=argv, verify=will_ask(values))
        )
        return Changes(deeds)
    # grub.d/10_linux does not use GRUB_CMDLINE_LINUX_DEFAULT for recovery entries.
    _, variable = _place(files, values, defaults)
    recovery = variable != "GRUB_CMDLINE_LINUX_DEFAULT"
    # Which of them the firmware takes is not known of a tree.
    for path in dict.fromkeys((config, *files.expand(*_CONFIGS))):
        deeds += files.edit(
            f"ask for memory in the entries of {path}",
            path,
            lambda text: grub2.with_values(text or "", NAME, values, recovery=recovery),
        )
    return Changes(deeds)


def _mkconfig(facts: HostFacts, config: str) -> tuple[str, ...]:
    if "update-grub" in facts.tools and config == "/boot/grub/grub.cfg":
        return ("update-grub",)
    for tool in ("grub2-mkconfig", "grub-mkconfig"):
        if tool in facts.tools:
            return (tool, "-o", config)
    return ()


def _bls(facts: HostFacts, files: Files, values: Sequence[str], defaults: Defaults) -> Changes:
    """Entries of the Boot Loader Specification, read by GRUB; grubenv's kernelopts on el8."""
    changes = Changes()
    if files.bytes(_GRUB) is not None:
        changes.deeds += _templates(files, values, defaults)
    changes.deeds += _cmdline(files, values)
    assert facts.boot is not None
    if "grubby" in facts.tools:
        if changes.deeds or not _everywhere(facts, files, values):
            changes.deeds.append(_grubby(facts, values))
        return changes
    if "update-bls-cmdline" in facts.tools:
        config = "/boot/grub2/grub.cfg"
        argv = ("grub2-mkconfig", "-o", config, "--update-bls-cmdline")
        if changes.deeds or not _everywhere(facts, files, values):
            touches = (config, f"{config}.new", "/boot/grub2/grubenv", *_ENTRIES)
            changes.deeds.append(
                CommandDeed(
                    f"make {config} and the entries anew",
                    argv,
                    touches,
                    renew=argv,
                    verify=will_ask(values),
                )
            )
        return changes
    changes.deeds += _entries(files, values)
    for path in files.expand("/boot/grub2/grubenv", "/boot/efi/EFI/*/grubenv"):
        if "kernelopts" in variables(files.text(path) or ""):
            changes.deeds += files.edit(
                f"ask for memory in kernelopts of {path}", path, _kernelopts(values)
            )
    return changes


def _kernelopts(values: Sequence[str]) -> Callable[[str | None], str]:
    def edit(text: str | None) -> str:
        text = text or ""
        old = variables(text)["kernelopts"]
        return with_variable(text, "kernelopts", with_values(old, NAME, values))

    return edit


def _everywhere(facts: HostFacts, files: Files, values: Sequence[str]) -> bool:
    """Whether the next boot, the templates and every entry have it."""
    assert facts.boot is not None
    arguments = [facts.boot.arguments, *(t.arguments for t in facts.templates)]
    if any(values_of(words, NAME) != list(values) for words in arguments):
        return False
    return not _entries(files, values)


def _entries(files: Files, values: Sequence[str]) -> list[Deed]:
    deeds: list[Deed] = []
    for path in files.expand(*_ENTRIES):
        if bls.parse(path, files.text(path) or "") is not None:
            deeds += files.edit(
                f"ask for memory in {path}",
                path,
                lambda text: bls.with_values(text or "", NAME, values),
            )
    return deeds


def _cmdline(files: Files, values: Sequence[str]) -> list[Deed]:
    if files.bytes(_CMDLINE) is None:
        return []
    return list(
        files.edit(
            f"ask for memory in {_CMDLINE}, for kernels to come",
            _CMDLINE,
            lambda text: kernel_cmdline.with_values(text or "", NAME, values),
        )
    )


def _edited_entries(files: Files, values: Sequence[str]) -> Changes:
    """systemd-boot, and what else reads entries: they are plain files, and no program edits them.

    Arch has neither kernel-install nor /etc/kernel/cmdline unless somebody wants them.
    """
    return Changes([*_cmdline(files, values), *_entries(files, values)])


def _zipl(facts: HostFacts, files: Files, values: Sequence[str]) -> Changes:
    """s390: nothing counts before zipl has written it to the boot record."""
    changes = _edited_entries(files, values)
    if files.bytes(_ZIPL) is not None:
        changes.deeds += files.edit(
            f"ask for memory in {_ZIPL}",
            _ZIPL,
            lambda text: zipl.with_values(text or "", NAME, values),
        )
    if not changes.deeds:
        return changes
    if "grubby" in facts.tools:
        changes.deeds.append(_grubby(facts, values))
    if "zipl" in facts.tools:
        changes.deeds.append(
            CommandDeed("write the boot record", ("zipl",), renew=("zipl",), always=True)
        )
    else:
        changes.manual.append("run zipl on the machine: only then the boot record has it")
    return changes


def _grubby(facts: HostFacts, values: Sequence[str]) -> CommandDeed:
    arguments = " ".join(f"{NAME}={value}" for value in values)
    old = values_of(facts.boot.arguments, NAME) if facts.boot else []
    back = (
        f"--args={' '.join(f'{NAME}={value}' for value in old)}" if old else f"--remove-args={NAME}"
    )
    return CommandDeed(
        "ask for memory in all boot entries",
        ("grubby", "--update-kernel=ALL", f"--args={arguments}"),
        _GRUBBY_TOUCHES,
        renew=("grubby", "--update-kernel=ALL", back),
        verify=will_ask(values),
    )


def _rpm_ostree(facts: HostFacts, values: Sequence[str]) -> CommandDeed:
    """Kernel arguments belong to a deployment: a new one is made, and the old one stays."""
    old = values_of(facts.boot.arguments if facts.boot else facts.cmdline or (), NAME)
    gone = [f"--delete-if-present={NAME}={value}" for value in old]
    new = [f"--append-if-missing={NAME}={value}" for value in values]
    back = [f"--delete-if-present={NAME}={value}" for value in values]
    again = [f"--append-if-missing={NAME}={value}" for value in old]

    def verify(host: Host) -> str:
        shown = host.run(("rpm-ostree", "kargs")).text.split()
        return "" if values_of(shown, NAME) == list(values) else "rpm-ostree kargs does not show it"

    return CommandDeed(
        "ask for memory in a new deployment",
        ("rpm-ostree", "kargs", *gone, *new),
        undo=("rpm-ostree", "kargs", *back, *again),
        verify=verify,
        timeout=900.0,
    )


def will_ask(values: Sequence[str]) -> Callable[[Host], str]:
    """What looks at the machine again: does its next boot ask for ``values``?"""

    def verify(host: Host) -> str:
        answers = ask(host)
        entry = next_entry(answers.files, efi="/sys/firmware/efi" in answers.stats)
        if entry is None:
            return "no boot entry is found any more"
        found = values_of(entry.arguments, NAME)
        if found != list(values):
            return f"the next boot asks for {' '.join(found) or 'nothing'} ({entry.source})"
        return ""

    return verify
