#!/bin/sh
# What crashes left on this machine. POSIX sh; runs in dash, busybox and the bash of el5. Below
# $KAUTOPSY_ROOT, if that is set, it reads files and runs nothing. $1: "usual"
# places too, or "only" the folders that follow.
#
# The answer: "@kautopsy-captures 1", then lines, then "@end". A path is the last word of its line
# and may hold blanks; one with a line break in it is left out.
#   @clock SECONDS                    of the machine, since 1970
#   @boot ID
#   @name NAME                        its node name, and its addresses
#   @note TEXT                        what could not be looked at
#   @elsewhere ssh USER@SERVER PORT PATH      where its dumps go; PORT may be -
#   @elsewhere nfs SERVER:/EXPORT - PATH      the same, and nobody has it mounted here
#   @folder PATH                      a folder that was looked in
#   @file MTIME SIZE HEX PATH         HEX: its first 16 bytes
#   @text PATH, then lines that begin with "|"
usual=$1
shift
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
export LC_ALL PATH
nl='
'
root=${KAUTOPSY_ROOT:-}
root=${root%/}

# Lines of a text's end that matter; 64 KiB are more than a producer says.
frame() { tail -c 65536 | tr -d '\000' | sed 's/^/|/'; echo; }

value() { # FILE KEY: of a shell-like file
    sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$2=[\"']\{0,1\}\([^\"'#]*\)[\"']\{0,1\}.*/\2/p" \
        "$root$1" 2>/dev/null | tail -n 1 | sed 's/[[:space:]]*$//'
}

word() { # FILE KEY: of kdump.conf
    sed -n "s/^[[:space:]]*$2[[:space:]]\{1,\}\([^[:space:]].*\)/\1/p" "$root$1" 2>/dev/null |
        tail -n 1 | sed 's/[[:space:]]*$//'
}

# The mount point of a kdump.conf target (a device, LABEL=, UUID=, server:/export), as mounted now.
mounted() {
    device=$1
    case $device in
    LABEL=* | UUID=* | PARTUUID=* | PARTLABEL=*)
        device=$(findfs "$device" 2>/dev/null) || return 0
        ;;
    esac
    real=$(readlink -f "$device" 2>/dev/null) || real=$device
    while read -r what where _; do
        if [ "$what" = "$device" ] || [ "$what" = "$real" ]; then
            printf '%s' "${where%/}"
            return 0
        fi
    done </proc/mounts
}

# Where a path of an NFS server (server:/path) lies here: below the longest export that is mounted.
shared() {
    best=
    place=
    while read -r what where kind _; do
        case $kind in nfs*) ;; *) continue ;; esac
        what=${what%/}
        case $1/ in
        "$what"/*)
            if [ "${#what}" -gt "${#best}" ]; then
                best=$what
                place=${where%/}${1#"$what"}
            fi
            ;;
        esac
    done </proc/mounts
    [ -n "$best" ] && printf '%s' "$place"
}

# on_nfs SERVER:/EXPORT PATH, on_ssh USER@SERVER PORT PATH: a folder here, or word that it is elsewhere.
on_nfs() {
    place=
    [ -z "$root" ] && place=$(shared "${1%/}/${2#/}")
    if [ -n "$place" ]; then
        printf '%s\n' "$place"
    else
        echo "@elsewhere nfs $1 - $2" >&3
    fi
}

on_ssh() { echo "@elsewhere ssh $1 $2 $3" >&3; }

# One place of SUSE's KDUMP_SAVEDIR.
place() {
    case $1 in
    file://*) printf '%s\n' "${1#file://}" ;;
    nfs://*)
        rest=${1#nfs://}
        on_nfs "${rest%%/*}:/${rest#*/}" /
        ;;
    ssh://* | sftp://*)
        rest=${1#*://}
        path=/${rest#*/}
        rest=${rest%%/*}
        port=-
        case ${rest##*@} in *:*) port=${rest##*:} rest=${rest%:*} ;; esac
        # A password may stand behind the user's name.
        user=${rest%@*}
        case $rest in *@*) rest=${user%%:*}@${rest##*@} ;; esac
        on_ssh "$rest" "$port" "$path"
        ;;
    *://*) echo "@note dumps of this machine go to ${1%%://*}://${1##*@} (KDUMP_SAVEDIR); look there" >&3 ;;
    *) printf '%s\n' "$1" ;;
    esac
}

folders() {
    if [ "$usual" = only ]; then
        for path in "$@"; do printf '%s\n' "$path"; done
        return
    fi
    if [ -r "$root/etc/kdump.conf" ]; then
        path=$(word /etc/kdump.conf path)
        path=${path:-/var/crash}
        target=
        for kind in ext2 ext3 ext4 xfs btrfs minix f2fs nfs nfs4 net virtiofs; do
            target=$(word /etc/kdump.conf "$kind")
            [ -n "$target" ] && break
        done
        case $target in
        '') printf '%s\n' "$path" ;;
        *@*) on_ssh "$target" - "$path" ;;
        *:/*) on_nfs "$target" "$path" ;;
        *)
            place=
            [ -z "$root" ] && place=$(mounted "$target")
            if [ -n "$place" ]; then
                printf '%s\n' "$place/${path#/}"
            else
                echo "@note dumps of this machine go to $path on $target (kdump.conf), which is not mounted here" >&3
            fi
            ;;
        esac
        server=$(word /etc/kdump.conf ssh)
        [ -n "$server" ] && on_ssh "$server" - "$path"
        raw=$(word /etc/kdump.conf raw)
        [ -n "$raw" ] && echo "@note dumps of this machine go to $raw raw (kdump.conf); kdump saves them to $path at the next boot" >&3
    fi
    if [ -r "$root/etc/default/kdump-tools" ]; then
        path=$(value /etc/default/kdump-tools KDUMP_COREDIR)
        path=${path:-/var/crash}
        printf '%s\n' "$path"
        server=$(value /etc/default/kdump-tools SSH)
        [ -n "$server" ] && on_ssh "${server%% *}" - "$path"
        # kdump-config mounts it on KDUMP_COREDIR: the dumps are right in the export.
        server=$(value /etc/default/kdump-tools NFS)
        [ -n "$server" ] && on_nfs "$server" /
        server=$(value /etc/default/kdump-tools FTP)
        [ -n "$server" ] && echo "@note dumps of this machine go to ${server##*@} by ftp (kdump-tools); look there" >&3
    fi
    if [ -r "$root/etc/sysconfig/kdump" ]; then
        set -f
        for where in $(value /etc/sysconfig/kdump KDUMP_SAVEDIR); do place "$where"; done
        set +f
    fi
    printf '%s\n' /var/crash /var/spool/kdump
    for path in "$@"; do printf '%s\n' "$path"; done
}

file() {
    case $1 in *"$nl"*) return 0 ;; esac
    numbers=$(stat -c '%Y %s' "$1" 2>/dev/null) || return 0
    head=$(dd if="$1" bs=16 count=1 2>/dev/null | od -An -tx1 | tr -d ' \n')
    printf '@file %s %s %s\n' "$numbers" "${head:--}" "${1#"$root"}"
    case ${1##*/} in
    README.txt | kexec-dmesg.log | vmcore-creation.status)
        printf '@text %s\n' "${1#"$root"}"
        frame <"$1" 2>/dev/null
        ;;
    esac
}

exec 3>&1
echo "@kautopsy-captures 1"
if [ -z "$root" ]; then
    echo "@clock $(date +%s)"
    [ -r /proc/sys/kernel/random/boot_id ] && echo "@boot $(cat /proc/sys/kernel/random/boot_id)"
    for name in $(uname -n) $(hostname -I 2>/dev/null || ip -o addr show 2>/dev/null | sed -n 's|.*inet6\{0,1\} \([^/ ]*\).*|\1|p'); do
        echo "@name $name"
    done
elif [ -r "$root/etc/hostname" ]; then
    echo "@name $(head -n 1 "$root/etc/hostname")"
fi
folders "$@" | sed '/^$/d; s,//*,/,g; s,\(.\)/$,\1,' | awk '!seen[$0]++' | while IFS= read -r folder; do
    [ -d "$root$folder" ] || continue
    # A link out of a tree leads into this machine.
    if [ -n "$root" ]; then
        real=$(cd "$root$folder" 2>/dev/null && pwd -P) || continue
        case $real/ in
        "$root"/*) ;;
        *)
            echo "@note $folder is a link that leads out of this directory"
            continue
            ;;
        esac
    fi
    echo "@folder $folder"
    if [ ! -r "$root$folder" ]; then
        echo "@note $folder may not be read: log in as root, or let sudo work"
        continue
    fi
    # -maxdepth is not POSIX, but in GNU's, busybox's and the BSDs'. 2000 files are years of crashes.
    find "$root$folder" -maxdepth 3 -type f ! -path '*/.kautopsy-*' 2>/dev/null | head -n 2000 | while IFS= read -r path; do
        file "$path"
    done
done
for folder in /sys/fs/pstore /var/lib/systemd/pstore; do
    [ -d "$root$folder" ] || continue
    find "$root$folder" -maxdepth 3 -type f -name 'dmesg-*' 2>/dev/null | sort | head -n 200 |
        while IFS= read -r path; do
            file "$path"
            printf '@text %s\n' "${path#"$root"}"
            frame <"$path" 2>/dev/null
        done
done
echo "@end"
