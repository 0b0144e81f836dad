#!/bin/sh
# First process of the capture kernel: save /proc/vmcore on the sink disk, report, reboot.
# What the lab must know goes to the second serial port, where no kernel message gets in between.
/bin/busybox mkdir -p /bin /proc /sys /dev /tmp /target
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
[ -e /etc/prelude ] && . /etc/prelude
exec 3>/dev/ttyS1
echo "capture-up $(uname -r)" >&3
while read -r module; do
    insmod "/lib/modules/$module"
done </etc/modules

finish() {
    echo "capture: status $1: $2"
    echo "capture-done $1 $2" >&3
    exec 3>&- # closing drains the port; rebooting would not
    reboot -f
}

tries=0
while [ ! -b /dev/vda ]; do
    tries=$((tries + 1))
    [ $tries -gt 100 ] && finish 1 "the target disk /dev/vda does not appear"
    usleep 100000
done
mount -t ext4 /dev/vda /target || finish 1 "the target disk cannot be mounted"
makedumpfile $(cat /etc/makedumpfile) /proc/vmcore /target/vmcore >/makedumpfile.log 2>&1
status=$?
cat /makedumpfile.log
words=
[ $status -ne 0 ] && words=$(grep -v '^$' /makedumpfile.log | tail -n 8 | tr '\n' ' ')
umount /target
sync
finish $status "$words"
