#!/usr/bin/env bash
# Installs what building and testing sbx needs and this machine lacks.
# `make demo` and `make test` call it first; with everything there it is a
# look at one dpkg-query and nothing else.
#
#   integration/setup.sh           what `make build`, `demo` and `test` need
#   integration/setup.sh --bench   also the tools that `make bench` compares with
#   integration/setup.sh --kernel  also the one kernel that `make test` boots, in .cache
#   integration/setup.sh --kernels also all those that `make test-kernels` boots
#   integration/setup.sh --arm64   also a cross compiler, libseccomp and qemu for arm64
set -eu

# What each is for: the static build; the programs the tests run under sbx;
# the tools that look at it from outside; the guests of the kernel matrix.
packages="gcc libc6-dev linux-libc-dev make musl-tools libseccomp-dev pkg-config
ca-certificates curl git
nginx-light python3-minimal python3 jq sqlite3 tar xz-utils gzip bash coreutils procps
bubblewrap runc strace zsh fish systemd libcap2-bin util-linux psmisc
qemu-system-x86 busybox-static e2fsprogs uidmap iproute2 apparmor login passwd mount hostname mawk diffutils media-types"
mode=${1:-}
case $mode in
"" | --kernel | --kernels) ;;
--bench) packages="$packages hyperfine firejail" ;;
--arm64) packages="$packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static" ;;
*)
	echo "setup: unknown option $mode" >&2
	exit 2
	;;
esac

if ! command -v go >/dev/null && [ ! -x /usr/local/go/bin/go ]; then
	echo "setup: Go is missing: sbx needs Go $(sed -n 's/^go //p' "$(dirname "$0")/../go.mod") or newer, from https://go.dev/dl" >&2
	exit 1
fi

# kernels fetches those that the mode asks for.
kernels() {
	case $mode in
	--kernel) "$(dirname "$0")/kernels/fetch.sh" 6.1 ;;
	--kernels) "$(dirname "$0")/kernels/fetch.sh" 5.10 6.1 6.12 new ;;
	esac
}

# has NAME: is the package, or for nginx-light any nginx, installed?
has() {
	case $1 in
	nginx-light) command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] ;;
	*) dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed ;;
	esac
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	missing=""
	for tool in gcc make musl-gcc pkg-config curl git nginx python3 jq sqlite3 tar xz bwrap runc strace zsh fish systemd-socket-activate systemd-analyze setcap newuidmap ip; do
		command -v "$tool" >/dev/null || [ -x "/usr/sbin/$tool" ] || missing="$missing $tool"
	done
	for file in /usr/include/seccomp.h /usr/include/linux/seccomp.h; do
		[ -e "$file" ] || missing="$missing $file"
	done
	[ -z "$missing" ] && exit 0
	echo "setup: there is no apt here, so please install what provides:$missing" >&2
	echo "setup: the static libseccomp (libseccomp.a) is needed as well" >&2
	exit 1
fi

missing=""
for package in $packages; do
	has "$package" || missing="$missing $package"
done
if [ "$mode" = --arm64 ] && ! has libseccomp-dev:arm64; then
	missing="$missing libseccomp-dev:arm64"
fi
if [ -z "$missing" ]; then
	kernels
	exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
	echo "setup: these packages are missing and installing them needs root:$missing" >&2
	echo "setup: run: sudo $0 $mode" >&2
	exit 1
fi

echo "setup: installing$missing"
# A machine without systemd as init must not have services started by the way:
# Debian's nginx would take port 80.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi
if [ "$mode" = --arm64 ]; then
	dpkg --add-architecture arm64
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update || echo "setup: apt-get update did not finish; trying with the lists there are" >&2
# shellcheck disable=SC2086 # a list of words
apt-get -qq install -y --no-install-recommends $missing >/dev/null
kernels
echo "setup: done"
