#!/bin/sh
# First process of a guest. The lab speaks to it over the second serial port, a line at a time:
#   data BASE64     append to the next command's text           -> ok
#   run             run it                                      -> output BASE64 ..., done STATUS
# Each chunk is acknowledged: a tty drops what nobody reads in time.
/bin/busybox mkdir -p /bin /sbin /usr/bin /usr/sbin /proc /sys /dev /run /tmp /mnt
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
hostname "$(cat /etc/hostname)"
ip link set lo up
while read -r module; do
    insmod "/lib/modules/$module" || echo "lab: $module does not load"
done </etc/modules

serve() {
    exec 3<>/dev/ttyS1
    stty -F /dev/ttyS1 raw -echo
    echo "ready $(uname -r)" >&3
    while read -r verb text <&3; do
        case $verb in
        data)
            echo "$text" | base64 -d >>/run/command
            echo ok >&3
            ;;
        run)
            sh /run/command >/run/output 2>&1 </dev/null 3>&-
            status=$?
            rm -f /run/command
            base64 /run/output | sed 's/^/output /' >&3
            echo "done $status" >&3
            ;;
        esac
    done
}

if grep -qw kautopsy.shell /proc/cmdline; then
    serve &
    setsid cttyhack sh
    reboot -f
fi
serve
