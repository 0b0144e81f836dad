#!/bin/sh
# Run by mmdebstrap in the new system's root directory ($1), with the lab's files in $2.
set -eu
root=$1
lab=$2

echo kautopsy-lab >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\tkautopsy-lab\n' >"$root/etc/hosts"
echo 'LABEL=root / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"

# QEMU's user network gives this address by DHCP too; a static one is there sooner.
mkdir -p "$root/etc/systemd/network"
cat >"$root/etc/systemd/network/lab.network" <<'END'
[Match]
Name=en*

[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
IPv6AcceptRA=no
LinkLocalAddressing=no
END
chroot "$root" systemctl enable systemd-networkd.service

mkdir -p -m 0700 "$root/root/.ssh"
install -m 0600 "$lab/key.pub" "$root/root/.ssh/authorized_keys"

# On the serial console nobody is asked for a password: the machine is thrown away.
mkdir -p "$root/etc/systemd/system/serial-getty@ttyS0.service.d"
cat >"$root/etc/systemd/system/serial-getty@ttyS0.service.d/lab.conf" <<'END'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --keep-baud 115200,57600,38400,9600 - $TERM
END
# What only costs time here.
chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    fstrim.timer e2scrub_all.timer e2scrub_reap.service modprobe@drm.service

sed -i \
    -e 's/^GRUB_TIMEOUT=.*/GRUB_TIMEOUT=1/' \
    -e 's/^GRUB_CMDLINE_LINUX_DEFAULT=.*/GRUB_CMDLINE_LINUX_DEFAULT=""/' \
    -e 's/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX="console=ttyS0,115200"/' \
    -e '$a GRUB_TERMINAL=serial' \
    -e '$a GRUB_DISABLE_OS_PROBER=true' \
    "$root/etc/default/grub"
# A machine that nobody armed: kdump-tools is there and off (debconf was told so), and its
# crashkernel= is commented out.
sed -i 's/^GRUB_/#&/' "$root/etc/default/grub.d/kdump-tools.cfg"
