"""Directories as documentation describes them, and none of our other trees has them.

RHEL's kernel administration guide (UEFI, BLS, grubenv), Ubuntu's and Debian's cloud images
(/etc/default/grub.d), SUSE's kdump and Xen chapters, ArchWiki (systemd-boot, unified kernel
images), zipl.conf(5), kernel-install(8); and what administrators do to shell files.
"""

from __future__ import annotations

from collections.abc import Callable

Files = dict[str, str]
"""Path to contents; ``->TARGET`` is a symbolic link."""

_KDUMP_CONF = "path /var/crash\ncore_collector makedumpfile -l --message-level 7 -d 31\n"
_ID = "0123456789abcdef0123456789abcdef"
_EL8 = "4.18.0-553.el8.x86_64"


def _machine(os: str, release: str, more: Files, unit: str = "kdump") -> Files:
    files = {"etc/os-release": os, f"usr/lib/modules/{release}/modules.dep": ""}
    if unit:
        files[f"usr/lib/systemd/system/{unit}.service"] = "[Service]\n"
    return {**files, **more}


def _block(*lines: str) -> str:
    return ("# GRUB Environment Block\n" + "".join(f"{x}\n" for x in lines)).ljust(1024, "#")


def el7_uefi() -> Files:
    releases = ("3.10.0-1160.99.el7.x86_64", "3.10.0-1160.el7.x86_64")
    config = 'load_env\nset default="${saved_entry}"\n'
    for release in releases:
        config += (
            f"menuentry 'Red Hat ({release})' --class red $menuentry_id_option 'gnulinux-{release}'"
            f" {{\n\tlinuxefi /vmlinuz-{release} root=/dev/mapper/rhel-root ro crashkernel=auto"
            f" rd.lvm.lv=rhel/root LANG=en_US.UTF-8\n\tinitrdefi /initramfs-{release}.img\n}}\n"
        )
    return _machine(
        'ID="rhel"\nVERSION_ID="7.9"\nID_LIKE="fedora"\n',
        releases[0],
        {
            "boot/efi/EFI/redhat/grub.cfg": config,
            "boot/efi/EFI/redhat/grubenv": _block(f"saved_entry=Red Hat ({releases[1]})"),
            "boot/grub2/grubenv": "->../efi/EFI/redhat/grubenv",
            "etc/grub2-efi.cfg": "->../boot/efi/EFI/redhat/grub.cfg",
            "etc/default/grub": "GRUB_TIMEOUT=5\nGRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g'"
            ' /etc/system-release 2>&-)"\nGRUB_DEFAULT=saved\n'
            'GRUB_CMDLINE_LINUX="crashkernel=auto rd.lvm.lv=rhel/root"\n',
            "etc/kdump.conf": _KDUMP_CONF,
        },
    )


def el8_uefi() -> Files:
    """/boot/grub2/grubenv is a link; one entry has arguments of its own, one has both."""
    entries = "boot/loader/entries"
    return _machine(
        'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.9"\n',
        _EL8,
        {
            "boot/efi/EFI/rocky/grub.cfg": 'set default="${saved_entry}"\ninsmod blscfg\nblscfg\n',
            "boot/efi/EFI/rocky/grubenv": _block(
                f"saved_entry={_ID}-{_EL8}",
                "kernelopts=root=/dev/mapper/rl-root ro crashkernel=auto resume=/dev/sda2 ",
                "boot_success=0",
            ),
            "boot/grub2/grubenv": "->../efi/EFI/rocky/grubenv",
            f"{entries}/{_ID}-{_EL8}.conf": f"title Rocky ({_EL8}) 8.9\nversion {_EL8}\n"
            f"linux /vmlinuz-{_EL8}\noptions $kernelopts $tuned_params\ngrub_class kernel\n",
            f"{entries}/{_ID}-0-rescue.conf": "title rescue\nversion 0-rescue\n"
            "linux /vmlinuz-0-rescue\noptions $kernelopts crashkernel=64M\n",
            f"{entries}/{_ID}-4.18.0-1.el8.x86_64.conf": "title own\nversion 4.18.0-1\n"
            "linux /vmlinuz-4.18.0-1\noptions root=/dev/mapper/rl-root ro crashkernel=64M\n",
            "etc/default/grub": 'GRUB_CMDLINE_LINUX="crashkernel=auto resume=/dev/sda2"\n'
            "GRUB_ENABLE_BLSCFG=true\n",
            "etc/kdump.conf": _KDUMP_CONF,
        },
    )


def _el9(os: str = 'ID="rhel"\nVERSION_ID="9.4"\n', arch: str = "x86_64", **more: str) -> Files:
    new, old = f"5.14.0-427.el9.{arch}", f"5.14.0-362.el9.{arch}"
    files = {
        "boot/efi/EFI/redhat/grub.cfg": "search --no-floppy --fs-uuid --set=dev 1-2\n"
        "set prefix=($dev)/grub2\nexport $prefix\nconfigfile $prefix/grub.cfg\n",
        "boot/grub2/grub.cfg": 'if [ "${next_entry}" ] ; then\n   set default="${next_entry}"\n'
        '   set next_entry=\nelse\n   set default="${saved_entry}"\nfi\ninsmod blscfg\nblscfg\n',
        "boot/grub2/grubenv": _block(f"saved_entry={_ID}-{old}", "menu_auto_hide=1"),
        f"boot/loader/entries/{_ID}-{new}.conf": f"title RHEL ({new})\nversion {new}\n"
        f"linux /vmlinuz-{new}\noptions root=/dev/sda3 ro crashkernel=64M rd.lvm.lv=a/b"
        " $tuned_params\n",
        f"boot/loader/entries/{_ID}-{old}.conf": f"title RHEL ({old})\nversion {old}\n"
        f"linux /vmlinuz-{old}\noptions root=/dev/sda3 ro rd.lvm.lv=a/b $tuned_params\n",
        "etc/default/grub": 'GRUB_CMDLINE_LINUX="rd.lvm.lv=a/b"\nGRUB_ENABLE_BLSCFG=true\n',
        "etc/kdump.conf": _KDUMP_CONF,
    }
    return _machine(os, new, {**files, **{path.replace("__", "/"): t for path, t in more.items()}})


def el9_without_a_template() -> Files:
    return _el9()


def el9_no_line_feed() -> Files:
    return _el9(etc__kernel__cmdline="root=/dev/sda3 ro rd.lvm.lv=a/b")


def el9_arm() -> Files:
    return _el9(arch="aarch64", etc__kernel__cmdline="root=/dev/sda3 ro\n")


def el9_added_to() -> Files:
    text = 'GRUB_CMDLINE_LINUX="rd.lvm.lv=a/b"\nGRUB_CMDLINE_LINUX+=" crashkernel=auto"'
    return {**_el9(), "etc/default/grub": text}


def oracle9() -> Files:
    return _el9('ID="ol"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n')


def amazon2023() -> Files:
    return _el9('ID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n')


def el6_uefi() -> Files:
    release = "2.6.32-754.el6.x86_64"
    return {
        "etc/redhat-release": "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n",
        f"lib/modules/{release}/modules.dep": "",
        "boot/efi/EFI/redhat/grub.conf": "#boot=/dev/sda1\ndefault=0\ntimeout=5\n"
        f"password --md5 $1$abc\ntitle RHEL ({release})\n\troot (hd0,1)\n"
        f"\tkernel /vmlinuz-{release} ro root=/dev/sda2 rd_NO_LUKS crashkernel=auto\n"
        f"\tinitrd /initramfs-{release}.img\n",
        "boot/grub/grub.conf": "->../efi/EFI/redhat/grub.conf",
        "etc/grub.conf": "->../boot/efi/EFI/redhat/grub.conf",
        "etc/rc.d/init.d/kdump": "#!/bin/sh\n",
        "etc/sysctl.conf": "# c\nkernel.sysrq = 0\nkernel.sysrq=0\nnet.ipv4.ip_forward = 0",
        "etc/kdump.conf": _KDUMP_CONF,
    }


_CLOUD = (
    "# Cloud Image specific Grub settings\nGRUB_RECORDFAIL_TIMEOUT=0\nGRUB_TERMINAL=console\n\n"
    'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"\n'
)
_PACKAGES = 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=512M-:192M"\n'


def _ubuntu(default: str, **folder: str) -> Files:
    """Ubuntu with a /boot of its own, two kernels and UEFI."""
    releases = ("6.8.0-50-generic", "6.8.0-31-generic")
    config = 'set default="0"\n'
    for release in releases:
        config += f"menuentry 'Ubuntu, with Linux {release}' {{\n\tlinux\t/vmlinuz-{release}"
        config += f" root=UUID=1 ro quiet\n\tinitrd\t/initrd.img-{release}\n}}\n"
        config += f"menuentry 'Ubuntu, with Linux {release} (recovery mode)' {{\n\tlinux\t"
        config += f"/vmlinuz-{release} root=UUID=1 ro recovery nomodeset\n}}\n"
    config += "menuentry 'Memory test' {\n\tlinux\t/memtest86+x64.bin\n}\n"
    files = {
        "boot/grub/grub.cfg": config,
        "boot/grub/grubenv": _block(),
        "boot/efi/EFI/ubuntu/grub.cfg": "search.fs_uuid 1-2 root\nset prefix=($root)'/grub'\n"
        "configfile $prefix/grub.cfg\n",
        "etc/default/grub": default,
        "etc/default/kdump-tools": 'USE_KDUMP=1\nKDUMP_COREDIR="/var/crash"\n',
    }
    for name, text in folder.items():
        files[f"etc/default/grub.d/{name.lstrip('_').replace('__', '-')}.cfg"] = text
    os = 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n'
    return _machine(os, releases[0], files, "kdump-tools")


_PLAIN = 'GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\nGRUB_CMDLINE_LINUX=""\n'


def ubuntu_cloud() -> Files:
    return _ubuntu(_PLAIN, _50__cloudimg__settings=_CLOUD, kdump__tools=_PACKAGES)


def ubuntu_thrown_away() -> Files:
    """What /etc/default/grub says is lost: the cloud's file sets the variable anew."""
    text = 'GRUB_CMDLINE_LINUX_DEFAULT="quiet crashkernel=64M"\n'
    return _ubuntu(text, _50__cloudimg__settings=_CLOUD)


def ubuntu_thrown_away_last() -> Files:
    late = 'GRUB_CMDLINE_LINUX_DEFAULT="console=ttyS1"\n'
    return _ubuntu(_PLAIN, kdump__tools=_PACKAGES, zz__site=late)


def ubuntu_three_times() -> Files:
    text = 'GRUB_CMDLINE_LINUX_DEFAULT="quiet crashkernel=64M crashkernel=128M"\n'
    text += 'GRUB_CMDLINE_LINUX="crashkernel=32M"\n'
    return _ubuntu(text, kdump__tools=_PACKAGES)


def ubuntu_single_quotes() -> Files:
    text = "GRUB_CMDLINE_LINUX_DEFAULT='quiet crashkernel=64M'\n"
    return _ubuntu(text + "GRUB_CMDLINE_LINUX='console=ttyS0,115200n8'\n")


def ubuntu_continued() -> Files:
    text = 'GRUB_CMDLINE_LINUX_DEFAULT="quiet \\\n  crashkernel=64M \\\n  splash"'
    return _ubuntu('GRUB_CMDLINE_LINUX=""\n' + text)


def ubuntu_pieces() -> Files:
    text = 'GRUB_CMDLINE_LINUX_DEFAULT="quiet "\'crashkernel=64M\'" splash"\n'
    return _ubuntu(text + "GRUB_CMDLINE_LINUX=\n")


def ubuntu_one_line() -> Files:
    return _ubuntu(
        'GRUB_CMDLINE_LINUX_DEFAULT="crashkernel=64M"; export X=1; GRUB_CMDLINE_LINUX=""'
    )


def ubuntu_comments() -> Files:
    text = '#GRUB_CMDLINE_LINUX_DEFAULT="crashkernel=64M"\n'
    text += "GRUB_CMDLINE_LINUX_DEFAULT=quiet # crashkernel=512M here\n"
    return _ubuntu(text + 'GRUB_CMDLINE_LINUX="  "\n')


def ubuntu_choice() -> Files:
    text = 'if [ -f /x ]; then\n  GRUB_CMDLINE_LINUX="a"\nelse\n'
    text += '  GRUB_CMDLINE_LINUX="crashkernel=64M"\nfi\n'
    return _ubuntu('GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n' + text)


def ubuntu_carriage_returns() -> Files:
    return _ubuntu(
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet crashkernel=64M"\r\nGRUB_CMDLINE_LINUX=""\r\n'
    )


def debian_braces() -> Files:
    text = (
        'export GRUB_CMDLINE_LINUX_DEFAULT="${GRUB_CMDLINE_LINUX_DEFAULT} crashkernel=384M-:128M"'
    )
    return {
        **_ubuntu(_PLAIN, kdump__tools=f"# kdump\n{text}\n"),
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
    }


def mint() -> Files:
    return {**_ubuntu(_PLAIN), "etc/os-release": 'ID=linuxmint\nID_LIKE="ubuntu debian"\n'}


def debian_systemd_boot() -> Files:
    release = "6.12.1-amd64"
    return _machine(
        'ID=debian\nVERSION_ID="13"\n',
        release,
        {
            "boot/efi/loader/loader.conf": "timeout 3\n",
            f"boot/efi/loader/entries/{_ID}-{release}.conf": "# Boot Loader Specification type#1\n"
            f"title      Debian 13\nversion    {release}\nsort-key   debian\n"
            f"options    root=UUID=1 ro quiet\nlinux      /{_ID}/{release}/linux\n",
            "etc/default/kdump-tools": "USE_KDUMP=1\n",
        },
        "kdump-tools",
    )


def sles15_lost_and_found() -> Files:
    """low and high in the wrong variable, beside Xen's own line."""
    release = "5.14.21-150500.55-default"
    return _machine(
        'ID="sles"\nID_LIKE="suse"\nVERSION_ID="15.5"\n',
        release,
        {
            "boot/grub2/grub.cfg": "set default=0\nmenuentry 'SLES 15-SP5' {\n"
            f"\tlinux /boot/vmlinuz-{release} root=UUID=1 splash=silent quiet\n}}\n",
            "etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="splash=silent quiet"\n'
            'GRUB_CMDLINE_LINUX=""\nGRUB_CMDLINE_XEN_DEFAULT="crashkernel=292M\\<4G"\n',
            "etc/sysconfig/kdump": '## Type: string\nKDUMP_SAVEDIR="/var/crash"\n'
            'KDUMP_DUMPLEVEL="31"\nKDUMP_DUMPFORMAT="lzo"\n',
        },
    )


def sles16() -> Files:
    release = "6.12.0-160000.5-default"
    return _machine(
        'ID="sles"\nID_LIKE="suse"\nVERSION_ID="16.0"\n',
        release,
        {
            "boot/efi/loader/loader.conf": "timeout 8\n",
            f"boot/efi/loader/entries/sles-16.0-{release}-1.conf": "title      SLES 16\n"
            f"version    1@{release}\noptions    root=UUID=1 crashkernel=64M"
            f" systemd.machine_id=abc\nlinux      /sles/{release}/linux-abc\n",
            "etc/kernel/cmdline": "root=UUID=1 quiet crashkernel=64M",
            "etc/sysconfig/kdump": 'KDUMP_CRASHKERNEL="auto"\nKDUMP_SAVEDIR="/var/crash"\n',
        },
    )


def arch_systemd_boot() -> Files:
    """The system partition is /boot itself, and one entry has no options at all."""
    return _machine(
        "ID=arch\nBUILD_ID=rolling\n",
        "6.12.1-arch1-1",
        {
            "boot/loader/loader.conf": "default  arch.conf\ntimeout  4\neditor   no\n",
            "boot/loader/entries/arch.conf": "title   Arch Linux\nlinux   /vmlinuz-linux\n"
            "initrd  /initramfs-linux.img\noptions root=PARTUUID=1-2 rw\n",
            "boot/loader/entries/arch-bare.conf": "title   Bare\nlinux   /vmlinuz-linux",
        },
        "",
    )


def arch_unified() -> Files:
    return _machine(
        "ID=arch\n",
        "6.12.1-arch1-1",
        {
            "boot/loader/loader.conf": "default @saved\n",
            "boot/EFI/Linux/arch-linux.efi": "MZ",
            "etc/kernel/cmdline": "# the disk\nroot=UUID=1 rw\nquiet\n",
        },
        "",
    )


def debian_s390() -> Files:
    return _machine(
        'ID=debian\nVERSION_ID="12"\n',
        "6.1.0-50-s390x",
        {
            "etc/zipl.conf": "[defaultboot]\ndefaultmenu = menu\n\n:menu\ntarget = /boot\n"
            "1 = debian\n2 = old\ndefault = 1\n\n[debian]\ntarget = /boot\nimage = /boot/vmlinuz\n"
            "parameters = root=/dev/dasda1 quiet\n[old]\ntarget=/boot\nimage=/boot/vmlinuz.old\n"
            "parameters='root=/dev/dasda1' \n",
            "etc/default/kdump-tools": "USE_KDUMP=1\n",
        },
        "kdump-tools",
    )


def coreos() -> Files:
    """ostree's entries lie behind a link that is turned over at every deployment."""
    return _machine(
        'ID="fedora"\nVARIANT_ID=coreos\nVERSION_ID="42"\n',
        "6.14.0-63.fc42.x86_64",
        {
            "run/ostree-booted": "",
            "boot/grub2/grub.cfg": 'set default="${saved_entry}"\nblscfg\n',
            "boot/loader": "->loader.1",
            "boot/loader.1/entries/ostree-2.conf": "title Fedora CoreOS 42 (ostree:0)\nversion 2\n"
            "options rw ostree=/ostree/boot.1/a/0 $ignition_firstboot root=UUID=1\n"
            "linux /ostree/a/vmlinuz\n",
            "etc/kdump.conf": _KDUMP_CONF,
        },
    )


UNSEEN: dict[str, Callable[[], Files]] = {
    tree.__name__: tree
    for tree in (
        el6_uefi, el7_uefi, el8_uefi, el9_without_a_template, el9_no_line_feed, el9_arm,
        el9_added_to, oracle9, amazon2023, ubuntu_cloud, ubuntu_thrown_away,
        ubuntu_thrown_away_last, ubuntu_three_times, ubuntu_single_quotes, ubuntu_continued,
        ubuntu_pieces, ubuntu_one_line, ubuntu_comments, ubuntu_choice, ubuntu_carriage_returns,
        debian_braces, mint, debian_systemd_boot, sles15_lost_and_found, sles16, arch_systemd_boot,
        arch_unified, debian_s390, coreos,
    )
}  # fmt: skip


def xen() -> Files:
    """The hypervisor starts first, and reserves the memory itself."""
    files = sles15_lost_and_found()
    files["boot/grub2/grub.cfg"] = (
        "set default=\"SLES, with Xen hypervisor\"\nmenuentry 'SLES, with Xen hypervisor' {\n"
        "\tmultiboot2 /boot/xen.gz placeholder vga=gfx ${xen_rm_opts}\n"
        "\tmodule2 /boot/vmlinuz-5 placeholder root=UUID=1 quiet\n}\n"
    )
    files["etc/default/grub"] = (
        'GRUB_CMDLINE_LINUX_DEFAULT="q"\nGRUB_CMDLINE_XEN_DEFAULT="vga=gfx"\n'
    )
    return files
