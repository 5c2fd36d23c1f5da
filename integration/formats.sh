#!/usr/bin/env bash
# Imports the units of some fifty hardened Debian packages and compares what the
# policies grant with what the units do: `make test-formats`. The packages are
# downloaded with apt-get, not installed; only their units are kept, in .cache.
#
#   integration/formats.sh            download what is missing, and test
#   integration/formats.sh --fetch    download only
set -eu -o pipefail
cd "$(dirname "$0")/.."

# Services that use systemd's sandboxing, of all kinds: daemons, helpers with
# D-Bus names, templates, and systemd's own.
packages="redis-server memcached mariadb-server prometheus-node-exporter irqbalance usbguard logrotate haproxy unbound
bind9 dnsmasq chrony ntpsec tor i2pd transmission-daemon mpd colord fwupd upower bluez geoclue-2.0 polkitd rtkit
udisks2 power-profiles-daemon switcheroo-control low-memory-monitor iio-sensor-proxy accountsservice
systemd systemd-timesyncd systemd-resolved smartmontools dovecot-core opendkim rspamd knot knot-resolver nsd dnsdist
pdns-server pdns-recursor coturn haveged jitterentropy-rngd packagekit modemmanager network-manager iwd lldpd radvd
stubby privoxy man-db plocate dbus-broker uuid-runtime e2fsprogs clamav-freshclam bolt gpsd syncthing minidlna
radicale prosody ngircd znc rng-tools5 postgresql-common openvpn"

dir=$PWD/.cache/formats
mkdir -p "$dir/units" "$dir/debs"
for package in $packages; do
	[ -d "$dir/units/$package" ] && continue
	if ! (cd "$dir/debs" && apt-get -qq download "$package" 2>"$dir/log"); then
		echo "formats: download $package: $(tail -n 1 "$dir/log")" >&2
		continue
	fi
	mkdir -p "$dir/new"
	for deb in "$dir/debs/$package"_*.deb; do
		# tar fails where one of the two patterns matches nothing.
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir/new" --wildcards \
			'./lib/systemd/system/*.service' './usr/lib/systemd/system/*.service' 2>/dev/null || true
	done
	mkdir -p "$dir/units/$package"
	find "$dir/new" -name '*.service' -type f -exec mv -t "$dir/units/$package" {} +
	rm -rf "$dir/new" "$dir/debs/$package"_*.deb
done
found=$(find "$dir/units" -name '*.service' | wc -l)
echo "formats: $found units of $(find "$dir/units" -mindepth 1 -maxdepth 1 -type d | wc -l) packages"
[ "${1:-}" = --fetch ] && exit 0

export SBX_UNITS=$dir/units SBX_BIN=${SBX_BIN:-$PWD/bin/sbx}
go test -buildvcs=false -tags formats -count=1 -timeout 10m -v -run 'TestDebian$' ./policy/systemd |
	grep -v -E '^(=== |    --- PASS)'
