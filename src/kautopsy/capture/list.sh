#!/bin/sh
# What crashes left on this machine. POSIX sh; runs in dash, busybox and the bash of el5. Below
# $KAUTOPSY_ROOT, if that is set, it reads files and runs nothing. $@: more folders to look in.
#
# The answer: "@kautopsy-captures 1", then lines, then "@end". A path is the last word of its line
# and may hold blanks; one with a line break in it is left out.
#   @clock SECONDS                    of the machine, since 1970
#   @boot ID
#   @note TEXT                        what could not be looked at
#   @folder PATH                      a folder that was looked in
#   @file MTIME SIZE HEX PATH         HEX: its first 16 bytes
#   @text PATH, then lines that begin with "|"
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

folders() {
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
        *@*) echo "@note dumps of this machine go to $target:$path (kdump.conf); look there" >&3 ;;
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
        [ -n "$server" ] && echo "@note dumps of this machine go to $server:$path (kdump.conf); look there" >&3
        raw=$(word /etc/kdump.conf raw)
        [ -n "$raw" ] && echo "@note dumps of this machine go to $raw raw (kdump.conf); kdump saves them to $path at the next boot" >&3
    fi
    if [ -r "$root/etc/default/kdump-tools" ]; then
        value /etc/default/kdump-tools KDUMP_COREDIR
        for key in SSH NFS FTP; do
            where=$(value /etc/default/kdump-tools "$key")
            [ -n "$where" ] && echo "@note dumps of this machine go to $where (kdump-tools); look there" >&3
        done
    fi
    if [ -r "$root/etc/sysconfig/kdump" ]; then
        where=$(value /etc/sysconfig/kdump KDUMP_SAVEDIR)
        case $where in
        file://*) printf '%s\n' "${where#file://}" ;;
        *://*) echo "@note dumps of this machine go to $where (KDUMP_SAVEDIR); look there" >&3 ;;
        *) printf '%s\n' "$where" ;;
        esac
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
