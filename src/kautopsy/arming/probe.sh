#!/bin/sh
# Everything that the checks ask of a machine, in one go, changing nothing. POSIX sh; runs in dash,
# busybox and the bash of el5. Below $KAUTOPSY_ROOT, if that is set, it reads files and runs nothing.
#
# The answer: "@kautopsy-probe 1", then sections, then "@end". A section is one line that begins
# with "@"; every line of its contents begins with "|", so that no contents can look like a section.
#   @file PATH              contents
#   @denied PATH            it exists and may not be read
#   @link PATH              contents: where the symbolic link points to
#   @stat MTIME SIZE PATH
#   @said STATUS NAME       contents: what a command printed
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
export LC_ALL PATH
nl='
'
live=1 root=
if [ -n "${KAUTOPSY_ROOT+set}" ]; then
    live=
    root=${KAUTOPSY_ROOT%/}
fi

have() { command -v "$1" >/dev/null 2>&1; }

# Contents in their frame; 512 KiB are more than any of these files has.
frame() {
    head -c 524288 2>/dev/null | tr -d '\000' | sed 's/^/|/'
    echo
}

# Sets $real to where a path of the machine lies; fails where that would leave the tree.
inside() {
    case $1 in *"$nl"*) return 1 ;; esac
    real=$1
    [ -n "$live" ] && return 0
    [ -e "$root$real" ] || [ -h "$root$real" ] || return 1
    links=0
    while [ -h "$root$real" ]; do
        points=$(readlink "$root$real") || return 1
        case $points in
        /*) real=$points ;;
        *) real=${real%/*}/$points ;;
        esac
        links=$((links + 1))
        [ "$links" -gt 20 ] && return 1
    done
    folder=$(cd "$root${real%/*}/" 2>/dev/null && pwd -P) || return 1
    case $folder/ in "$root"/*) ;; *) return 1 ;; esac
    real=$folder/${real##*/}
    [ ! -h "$real" ]
}

file() {
    for path in "$@"; do
        inside "$path" || continue
        [ -f "$real" ] || continue
        if [ -r "$real" ]; then
            printf '@file %s\n' "$path"
            { frame <"$real"; } 2>/dev/null
        else
            printf '@denied %s\n' "$path"
        fi
    done
}

# each WHAT NAME...: does it to names below the root, as the machine itself would call them.
each() {
    what=$1
    shift
    for name in "$@"; do
        [ -e "$name" ] || [ -h "$name" ] || continue
        "$what" "${name#"$root"}"
    done
}

link() {
    for path in "$@"; do
        case $path in *"$nl"*) continue ;; esac
        [ -h "$root$path" ] || continue
        printf '@link %s\n' "$path"
        readlink "$root$path" | frame
    done
}

stat_of() {
    for path in "$@"; do
        inside "$path" || continue
        [ -e "$real" ] || continue
        numbers=$(stat -L -c '%Y %s' "$real" 2>/dev/null) || continue
        printf '@stat %s %s\n' "$numbers" "$path"
    done
}

# limited SECONDS COMMAND...: what touches a network or a disk may hang.
limited() {
    seconds=$1
    shift
    "$@" </dev/null &
    worker=$!
    (sleep "$seconds" && kill -9 "$worker") >/dev/null 2>&1 </dev/null &
    watcher=$!
    wait "$worker" 2>/dev/null
    status=$?
    kill "$watcher" 2>/dev/null
    return "$status"
}

say() {
    name=$1
    shift
    [ -n "$live" ] || return 0
    output=$("$@" 2>&1 </dev/null | head -c 524288 | tr -d '\000'; echo x)
    printf '@said 0 %s\n' "$name"
    printf '%s\n' "${output%x}" | sed 's/^/|/'
}

# As say, and the exit status counts.
ask() {
    name=$1
    shift
    [ -n "$live" ] || return 0
    output=$("$@" 2>&1 </dev/null)
    status=$?
    printf '@said %s %s\n' "$status" "$name"
    printf '%s\n' "$output" | tr -d '\000' | sed 's/^/|/'
}

# value FILE KEY: of a file of KEY="value" lines, the last one.
value() {
    inside "$1" && [ -r "$real" ] || return 0
    sed -n "s/^[[:space:]]*\(export[[:space:]]*\)\{0,1\}$2=//p" "$real" 2>/dev/null |
        sed -n "\$s/^[\"']\{0,1\}\([^\"'#]*\).*/\1/p"
}

# option NAME: of kdump.conf, the last one.
option() {
    inside /etc/kdump.conf && [ -r "$real" ] || return 0
    sed -n "s/^[[:space:]]*$1[[:space:]][[:space:]]*//p" "$real" | sed -n '$p'
}

nmi_counts() { sed -n 's/^ *NMI://p' /proc/interrupts; }

# The drivers that a device hangs on: its own, its buses', and those of what it is made of.
drivers_of() {
    device=$(cd "$1" 2>/dev/null && pwd -P) || return 0
    for part in "$device"/slaves/* "$device"/../slaves/*; do
        [ -e "$part" ] && (drivers_of "$part")
    done
    case $device in */block/dm-*) echo dm_mod ;; */block/md*) echo md_mod ;; esac
    while [ "$device" != / ] && [ "$device" != /sys ] && [ -n "$device" ]; do
        if [ -h "$device/driver/module" ]; then
            module=$(readlink "$device/driver/module")
            echo "${module##*/}"
        fi
        device=${device%/*}
    done
}

target_drivers() {
    found=
    source=$(df -P "$1" 2>/dev/null | sed -n '$s/ .*//p')
    case $source in /dev/*) ;; *) return 1 ;; esac
    disk=$(readlink -f "$source") || disk=$source
    drivers_of "/sys/class/block/${disk##*/}" | sort -u
    mounted=$(df -P "$1" 2>/dev/null | sed -n '$s/^.*% //p')
    while read -r _ where type _; do
        [ "$where" = "$mounted" ] && [ "$type" != rootfs ] && found=$type
    done </proc/mounts
    echo "$found"
}

# What runs under the target: device, type, and whether it is encrypted.
target_stack() {
    source=$(df -P "$1" 2>/dev/null | sed -n '$s/ .*//p')
    case $source in /dev/*) lsblk -s -n -r -o NAME,TYPE,FSTYPE "$source" ;; *) return 1 ;; esac
}

network_driver() {
    interface=$(ip route get "$1" 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
    [ -n "$interface" ] || return 1
    echo "interface $interface"
    for kind in wireless bonding bridge; do
        [ -e "/sys/class/net/$interface/$kind" ] && echo "kind $kind"
    done
    drivers_of "/sys/class/net/$interface/device" | sed 's/^/driver /'
}

# The server's name is data, never part of a command.
port_open() {
    have bash || return 126
    # shellcheck disable=SC2016 # the inner shell expands it
    limited 8 bash -c ': <"/dev/tcp/$1/$2"' sh "$1" "$2"
}

module_names() { sed -n 's|.*/\([^/ ]*\)\.ko\(\.[a-z0-9]*\)\{0,1\}$|\1|p' | sort -u; }

# An initrd that is one compressed archive, unpacked once; the distributions' listers try out every
# program first, which takes a slow machine minutes.
one_archive() {
    case $(od -An -tx1 -N4 "$1" | tr -d ' \n') in
    28b52ffd) unpack=zstd ;;
    1f8b*) unpack=gzip ;;
    fd377a58) unpack=xz ;;
    *) return 126 ;;
    esac
    have "$unpack" && have cpio || return 126
    names=$("$unpack" -dc <"$1" | cpio -t --quiet) && [ -n "$names" ] || return 126
    printf '%s\n' "$names"
}

image_modules() {
    if listed=$(one_archive "$1" 2>/dev/null); then
        printf '%s\n' "$listed" | module_names
        return
    fi
    if have lsinitramfs; then
        lister=lsinitramfs
    elif have lsinitrd; then
        lister=lsinitrd
    else
        return 127
    fi
    # Of a list that was cut short (killed: 137), or of an image that is just being written (an
    # error), nobody can tell what it lacks.
    listed=$(limited 120 "$lister" "$1")
    status=$?
    [ "$status" = 0 ] || return "$status"
    printf '%s\n' "$listed" | module_names
}

secure_boot() {
    for variable in /sys/firmware/efi/efivars/SecureBoot-* /sys/firmware/efi/efivars/SetupMode-*; do
        [ -r "$variable" ] || continue
        number=$(od -An -tu1 -j4 -N1 "$variable" 2>/dev/null | tr -d ' ')
        variable=${variable##*/}
        echo "${variable%%-*} $number"
    done
}

watchdogs() {
    for dog in /sys/class/watchdog/watchdog*; do
        [ -e "$dog" ] || continue
        module=$(readlink "$dog/device/driver/module" 2>/dev/null)
        printf '%s %s %s %s %s\n' "${dog##*/}" "$(cat "$dog/state" 2>/dev/null || echo unknown)" \
            "${module##*/}" "$(cat "$dog/timeout" 2>/dev/null)" \
            "$(cat "$dog/identity" 2>/dev/null)"
    done | sed 's/  / - /g'
}

kernel_log() {
    dmesg 2>/dev/null | grep -i -E \
        'crashkernel|crash kernel|Uhhuh|NMI received|AMD Memory Encryption|SEV|Secure Boot|lockdown|DMAR: IOMMU|hpwdt' |
        tail -n 60
}

rc_links() {
    for name in /etc/rc[2345].d/S*kdump* /etc/rc.d/rc[2345].d/S*kdump*; do
        [ -e "$name" ] && echo "$name"
    done
}

dumps_in() {
    for name in "$1"/*/vmcore-incomplete* "$1"/*/dump-incomplete* "$1"/*/vmcore "$1"/*/vmcore.flat \
        "$1"/*/dump.[0-9]*; do
        [ -e "$name" ] && printf '%s\n' "$name"
    done | tail -n 50
}

# What can change a boot loader, a service, or what is installed.
tools() {
    for name in grubby update-grub grub2-mkconfig grub-mkconfig rpm-ostree kdumptool \
        transactional-update zipl systemctl chkconfig kdumpctl apt-get dnf yum zypper; do
        have "$name" && echo "$name"
    done
    if grub2-mkconfig --help 2>&1 | grep -q -e --update-bls-cmdline; then
        echo update-bls-cmdline
    fi
}

mem_usage() { limited 30 makedumpfile --mem-usage /proc/kcore; }

probe() {
    echo '@kautopsy-probe 1'
    if [ -n "$live" ]; then
        say first-nmi nmi_counts
        sleep 1 >/dev/null 2>&1 &
        nap=$!
        ask id id -u
        ask now date +%s
        ask release uname -r
        ask machine uname -m
        ask node uname -n
        ask page-size getconf PAGESIZE
    fi

    file /etc/os-release /usr/lib/os-release /etc/redhat-release /etc/SuSE-release \
        /etc/debian_version /run/ostree-booted /proc/sys/kernel/osrelease \
        /proc/cmdline /proc/meminfo /proc/iomem /proc/modules /proc/mounts /proc/1/cgroup \
        /proc/interrupts /proc/consoles /run/systemd/container \
        /sys/devices/system/cpu/online /sys/devices/system/cpu/crash_hotplug \
        /sys/devices/system/memory/crash_hotplug
    file /sys/kernel/kexec_crash_loaded /sys/kernel/kexec_crash_size /sys/kernel/vmcoreinfo \
        /sys/kernel/fadump/enabled /sys/kernel/fadump/registered /sys/kernel/fadump_enabled \
        /sys/kernel/fadump_registered /sys/kernel/security/lockdown
    [ -e "$root/.dockerenv" ] && echo '@link /.dockerenv'
    for name in sysrq unknown_nmi_panic panic_on_unrecovered_nmi panic_on_io_nmi nmi_watchdog \
        hardlockup_panic softlockup_panic softlockup_thresh watchdog_thresh hung_task_panic \
        hung_task_timeout_secs panic_on_oops oops_limit warn_limit panic_on_warn \
        panic_on_rcu_stall panic panic_print kexec_load_disabled kexec_load_limit_panic \
        kptr_restrict hostname; do
        file "/proc/sys/kernel/$name"
    done
    file /proc/sys/vm/panic_on_oom /sys/module/kernel/parameters/crash_kexec_post_notifiers \
        /sys/module/hpwdt/parameters/kdumptimeout /sys/module/hpwdt/parameters/allow_kdump \
        /sys/fs/selinux/enforce /selinux/enforce

    if [ -n "$live" ]; then
        kernel=$(uname -r)
    else
        # Of an image's kernels, the last one by name.
        kernel=
        inside /proc/sys/kernel/osrelease && [ -f "$real" ] && kernel=$(cat "$real")
        if [ -z "$kernel" ]; then
            for folder in "$root"/lib/modules/* "$root"/usr/lib/modules/*; do
                [ -d "$folder" ] && kernel=${folder##*/}
            done
        fi
    fi
    case $kernel in */* | *"$nl"*) kernel= ;; esac
    printf '@said 0 kernel\n|%s\n' "$kernel"
    if [ -n "$live" ] && [ ! -r "/boot/config-$kernel" ] && [ -r /proc/config.gz ]; then
        say config zcat /proc/config.gz
    fi
    file "/boot/config-$kernel" "/lib/modules/$kernel/config" "/usr/lib/modules/$kernel/config"
    stat_of "/boot/vmlinuz-$kernel" "/lib/modules/$kernel/vmlinuz" /sys/firmware/efi

    # What is booted next.
    file /boot/grub/grub.conf /boot/grub/menu.lst /boot/grub2/grub.cfg /boot/grub/grub.cfg \
        /boot/grub2/grubenv /boot/grub/grubenv /boot/loader/loader.conf \
        /boot/efi/loader/loader.conf /efi/loader/loader.conf \
        /etc/default/grub /etc/kernel/cmdline /usr/lib/kernel/cmdline /etc/zipl.conf
    each file "$root"/boot/efi/EFI/*/grub.conf "$root"/boot/efi/EFI/*/grub.cfg \
        "$root"/boot/efi/EFI/*/grubenv "$root"/boot/loader/entries/*.conf \
        "$root"/boot/efi/loader/entries/*.conf "$root"/efi/loader/entries/*.conf \
        "$root"/etc/default/grub.d/*.cfg

    # The kdump of the distribution.
    file /etc/kdump.conf /etc/sysconfig/kdump /etc/default/kdump-tools \
        /etc/systemd/system.conf /etc/crypttab /etc/fstab
    each file "$root"/etc/kdump.conf.d/*.conf "$root"/etc/systemd/system/systemd-sysctl.service.d/*.conf
    link /var/lib/kdump/vmlinuz /var/lib/kdump/initrd.img /var/lib/kdump/kernel \
        /var/lib/kdump/initrd
    for unit in kdump kdump-tools kdump-early; do
        link "/etc/systemd/system/$unit.service"
        each link "$root"/etc/systemd/system/*.wants/"$unit.service"
    done
    stat_of /usr/lib/systemd/system/kdump.service /lib/systemd/system/kdump.service \
        /lib/systemd/system/kdump-tools.service /usr/lib/systemd/system/kdump-tools.service \
        /usr/lib/systemd/system/kdump-early.service \
        /etc/init.d/kdump /etc/rc.d/init.d/kdump /etc/init.d/kdump-tools /etc/cluster/cluster.conf \
        /etc/corosync/corosync.conf /etc/sysconfig/sbd \
        /sys/kernel/config/crash_dm_crypt_keys /usr/lib/debug/boot/vmlinux-"$kernel" \
        /usr/lib/debug/lib/modules/"$kernel"/vmlinux
    if [ -z "$live" ]; then
        each stat_of "$root"/etc/rc.d/rc3.d/S*kdump* "$root"/etc/rc3.d/S*kdump*
    fi
    image=
    for path in "/boot/initramfs-${kernel}kdump.img" "/var/lib/kdump/initramfs-${kernel}kdump.img" \
        "/boot/initrd-${kernel}kdump.img" "/boot/initrd-$kernel-kdump" "/boot/initrd-$kernel.kdump" \
        /var/lib/kdump/initrd.img \
        "/var/lib/kdump/initrd.img-$kernel" /var/lib/kdump/initrd; do
        stat_of "$path"
        if [ -z "$image" ] && inside "$path" && [ -f "$real" ]; then
            image=$path
        fi
    done
    stat_of /var/lib/kdump/vmlinuz /var/lib/kdump/kernel /etc/kdump.conf /etc/sysconfig/kdump \
        /etc/default/kdump-tools /etc/kdump/sysctl.conf /etc/initramfs-tools/modules \
        /etc/fstab /etc/crypttab /etc/lvm/lvm.conf /etc/hosts \
        /etc/nsswitch.conf /var/crash /var/lib/kdump
    printf '@said 0 image\n|%s\n' "$image"

    # Where dumps go.
    path=$(value /etc/default/kdump-tools KDUMP_COREDIR)
    if [ -z "$path" ] && inside /etc/kdump.conf && [ -f "$real" ]; then
        path=$(option path)
        : "${path:=/var/crash}"
        for type in ext2 ext3 ext4 xfs btrfs minix; do
            device=$(option "$type")
            [ -n "$device" ] || continue
            [ -n "$live" ] || continue
            mounted=$(limited 10 findmnt -n -o TARGET --source "$device" | head -n 1)
            path=${mounted%/}/${path#/}
            [ -n "$mounted" ] || path=
            printf '@said 0 target-device\n|%s\n' "$device"
        done
    fi
    [ -n "$path" ] || path=$(value /etc/sysconfig/kdump KDUMP_SAVEDIR)
    path=${path#file://}
    case $path in
    *"$nl"* | *://*) path= ;;
    /*) ;;
    *) path=/var/crash ;;
    esac
    target=$path
    printf '@said 0 target-path\n|%s\n' "$target"
    # An NFS server and a user@server, from the words of each distribution.
    nfs=$(option nfs)
    [ -n "$nfs" ] || nfs=$(option net | grep -v @)
    [ -n "$nfs" ] || nfs=$(value /etc/default/kdump-tools NFS)
    ssh=$(option ssh)
    [ -n "$ssh" ] || ssh=$(option net | grep @)
    [ -n "$ssh" ] || ssh=$(value /etc/default/kdump-tools SSH)
    printf '@said 0 target-nfs\n|%s\n@said 0 target-ssh\n|%s\n' "$nfs" "$ssh"

    if [ -n "$live" ]; then
        if [ -n "$target" ] && [ -z "$nfs$ssh" ]; then
            ask target-space limited 10 df -Pk "$target"
            # Whoever hangs on a dead server's mount must not be followed by others.
            if [ "$status" = 0 ]; then
                ask target-inodes limited 10 df -Pi "$target"
                ask target-writable limited 10 test -w "$target" -a -d "$target"
                ask target-drivers target_drivers "$target"
                ask target-stack target_stack "$target"
                ask target-label ls -Zd "$target"
                ask target-dumps dumps_in "$target"
            fi
        fi
        if [ -n "$nfs" ]; then
            ask target-port port_open "${nfs%%:*}" 2049
            ask target-network network_driver "${nfs%%:*}"
        fi
        if [ -n "$ssh" ]; then
            key=$(option sshkey)
            [ -n "$key" ] || key=$(value /etc/default/kdump-tools SSH_KEY)
            : "${key:=/root/.ssh/kdump_id_rsa}"
            where=$(option path)
            : "${where:=/var/crash}"
            ask target-login ssh_space "$key" "${ssh% *}" "$where"
            server=${ssh#*@}
            ask target-network network_driver "${server%% *}"
        fi
        ask units systemctl show -p Id -p LoadState -p ActiveState -p UnitFileState -p Result \
            kdump.service kdump-tools.service kdump-early.service
        ask rc-links rc_links
        ask virt systemd-detect-virt
        say secure-boot secure_boot
        say watchdogs watchdogs
        say tools tools
        say log kernel_log
        ask kexec-version kexec --version
        ask makedumpfile-version makedumpfile -v
        if have lsinitrd && [ -n "$image" ]; then
            ask dracut-build limited 40 lsinitrd -f usr/lib/dracut/build-parameter.txt "$image"
        fi
        [ -n "$image" ] && ask image-modules image_modules "$image"
        if [ "$(id -u)" = 0 ] && have makedumpfile && [ -e /proc/kcore ]; then
            ask mem-usage mem_usage
        fi
        [ -e /dev/ipmi0 ] && printf '@said 0 bmc\n|/dev/ipmi0\n'
        have ipmitool && [ -e /dev/ipmi0 ] && ask sol limited 15 ipmitool sol info
        say udev grep -l -r -E 'kdump|kexec' /etc/udev/rules.d /usr/lib/udev/rules.d /lib/udev/rules.d
        say pstore ls /sys/fs/pstore
        file /var/lib/kdump/vmcore-creation.status /var/lib/kautopsy/last-drill.json
        # The second look at the counters, at least a second after the first.
        wait "$nap"
        say second-nmi nmi_counts
    fi
    echo '@end'
}

# The path is data on the other side too: in single quotes, its own ones taken apart.
ssh_space() {
    quoted=$(printf '%s' "$3" | sed "s/'/'\\\\''/g")
    limited 20 ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=10 -i "$1" \
        -- "$2" "df -Pk '$quoted' && test -w '$quoted'"
}

probe
