#!/usr/bin/env bash
# Fetches a root file system with a newer systemd than Debian 12 has, and python3, to
# .cache/newroot, for `make test-systemd`. Nothing is installed and the system's own
# package lists are not touched. DEBIAN_MIRROR: another mirror than deb.debian.org.
set -eu
cd "$(dirname "$0")/.."
root=$PWD/.cache/newroot work=$PWD/.cache/newroot.fetch
[ -e "$root/etc/machine-id" ] && exit 0
rm -rf "$root" "$work"
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/root"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
echo "deb [arch=amd64 signed-by=$keyring] $mirror trixie main" >"$work/sources.list"
apt=(-qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=-
	-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work" -o Dir::Cache::Archives="$work/archives"
	-o Dir::State::Status=/dev/null -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3
	-o APT::Architecture=amd64 -o APT::Install-Recommends=false -o Debug::NoLocking=1)
echo "newroot: Debian 13's systemd and python3"
apt-get "${apt[@]}" update
apt-get "${apt[@]}" install -y --download-only base-files base-passwd bash coreutils dash python3 systemd >/dev/null
# What links /bin to /usr/bin comes first.
for deb in "$work"/archives/base-files_*.deb "$work"/archives/*.deb; do
	dpkg-deb -x "$deb" "$work/root"
done
cp "$work/root/usr/share/base-passwd/passwd.master" "$work/root/etc/passwd"
cp "$work/root/usr/share/base-passwd/group.master" "$work/root/etc/group"
mkdir -p "$work/root/etc/systemd"
# The last, which says that all is there.
echo 0123456789abcdef0123456789abcdef >"$work/root/etc/machine-id"
mv "$work/root" "$root"
rm -rf "$work"
