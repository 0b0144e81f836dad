# What the capture kernel of a Debian runs after its initrd: this machine's own programs and their
# settings, as a compressed tar on standard output. No secrets, no users' files, no drivers.
set -eu
export LC_ALL=C
root=${KAUTOPSY_ROOT:-}
root=${root%/}
cd "$root/"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

query() { dpkg-query --admindir="$root/var/lib/dpkg" "$@"; }

# Essential packages, what saves dumps, and all that these depend on.
query -W -f '${db:Status-Status}\t${Package}\t${Essential}\t${Pre-Depends}, ${Depends}\t${Provides}\n' |
    awk -F '\t' '
        function name(text) {
            sub(/^ */, "", text)
            sub(/[ (:].*$/, "", text)
            return text
        }
        function want(package) {
            if (package in depends && !(package in wanted)) {
                wanted[package] = 1
                queue[++last] = package
            }
        }
        $1 == "installed" {
            depends[$2] = $4
            essential[$2] = $3
            count = split($5, given, ",")
            for (i = 1; i <= count; i++)
                if (!(name(given[i]) in provider)) provider[name(given[i])] = $2
        }
        END {
            for (package in essential) if (essential[package] == "yes") want(package)
            count = split("init systemd systemd-sysv udev kmod makedumpfile kexec-tools" \
                " kdump-tools linux-crashdump initramfs-tools-core", start, " ")
            for (i = 1; i <= count; i++) want(start[i])
            for (first = 1; first <= last; first++) {
                count = split(depends[queue[first]], clauses, /[,|]/)
                for (i = 1; i <= count; i++) {
                    one = name(clauses[i])
                    want(one in depends ? one : provider[one])
                }
            }
            for (package in wanted) print package
        }' >"$work/packages"

# Where /bin is /usr/bin, files are packed by their one real name.
for folder in bin sbin lib lib32 lib64 libx32; do
    [ ! -L "$root/$folder" ] || echo "s,^/$folder/,/usr/$folder/,"
done >"$work/merge"
{
    # shellcheck disable=SC2046  # names of packages
    query -L $(cat "$work/packages")
    find usr/bin usr/sbin -type l -lname '/etc/alternatives/*' | sed 's,^,/,'
    for path in bin sbin lib lib32 lib64 libx32 etc/alternatives etc/default etc/group \
        etc/hostname etc/hosts etc/kdump etc/ld.so.cache etc/ld.so.conf etc/ld.so.conf.d \
        etc/machine-id etc/modprobe.d etc/modules etc/modules-load.d etc/nsswitch.conf \
        etc/passwd etc/sysctl.conf etc/sysctl.d etc/systemd; do
        if [ -L "$path" ]; then
            echo "/$path"
        elif [ -d "$path" ]; then
            find "$path" -xdev | sed 's,^,/,'
        elif [ -e "$path" ]; then
            echo "/$path"
        fi
    done
} | sed -f "$work/merge" | sort -u | grep -Ev \
    -e '^/usr/share/(doc|man|info|locale|bug|lintian|perl|vim|bash-completion)/' \
    -e '^/(boot|dev|proc|sys|run|tmp|home|root|mnt|media|srv)/' -e '^/(usr/)?lib/modules/' \
    -e '^/etc/(ssh|ssl/private|shadow|gshadow)' -e '^/[.]$' -e '/var/(cache|log|lib/dpkg|lib/apt)/' |
    while read -r path; do
        if [ -e "$root$path" ] || [ -L "$root$path" ]; then
            echo ".$path"
        fi
    done >"$work/files"
tar -cz --no-recursion --numeric-owner --ignore-failed-read -T "$work/files"
