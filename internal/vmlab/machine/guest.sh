#!/bin/busybox sh
# The first program of the machine, and later what starts and stops its daemons:
# /init start|stop dbus|bluetoothd|radio
export PATH=/bin:/usr/bin:/usr/libexec/bluetooth
. /etc/lab.conf # CONTROLLERS

daemon() { # NAME PROGRAM ARGS...
	name=$1
	shift
	"$@" >>/run/$name.log 2>&1 </dev/null &
	echo $! >/run/$name.pid
}

start() {
	case $1 in
	dbus)
		rm -f /run/dbus/system_bus_socket
		daemon dbus dbus-daemon --config-file=/etc/bus.conf --nofork --nopidfile
		while [ ! -S /run/dbus/system_bus_socket ]; do usleep 10000; done
		;;
	bluetoothd) daemon bluetoothd bluetoothd -n $BLUETOOTHD_ARGS ;;
	radio)
		if [ -n "$MACHINE" ]; then
			daemon radio btattach -B /dev/hvc0 -P h4 # a controller on the host's radio
		else
			daemon radio btvirt -l$CONTROLLERS
		fi
		;;
	esac
}

stop() {
	pid=$(cat /run/$1.pid) || return
	rm -f /run/$1.pid
	kill -9 "$pid"
	while [ -d /proc/"$pid" ] && ! grep -q '^State:.Z' /proc/"$pid"/status; do usleep 10000; done
}

if [ $$ != 1 ]; then
	"$@"
	exit
fi

/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
for m in $(cat /etc/modules); do
	insmod $m || echo "cannot load $m"
done
ifconfig lo 127.0.0.1 up
mkdir -p /run/dbus /out /tmp
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 out /out || echo "no shared directory"
for word in $(cat /proc/cmdline); do
	case $word in machine=*) MACHINE=${word#machine=} ;; esac
done
export MACHINE
if [ "$CONTROLLERS" != 0 ]; then
	start radio
	start dbus
	start bluetoothd
fi
export KOZO_VMLAB_MACHINE="$MACHINE" HOME=/tmp TMPDIR=/tmp
cd /test
sh /etc/errand >/out/output.$MACHINE 2>/out/errors.$MACHINE
echo $? >/out/exit.$MACHINE
dmesg >/run/kernel.log
for log in /run/*.log; do cp $log /out/${log##*/}.$MACHINE; done
sync
poweroff -f
