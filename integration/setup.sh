#!/usr/bin/env bash
# Installs what sbx needs and this machine lacks, with apt. The targets of the
# Makefile call it first; with everything there it asks dpkg-query and does
# nothing else.
#
#   integration/setup.sh --build    what `make build` needs: five packages
#   integration/setup.sh --demo     also what `make demo` shows
#   integration/setup.sh --quick    what `make quick` needs
#   integration/setup.sh --test     all that `make test` needs (also without any option)
#   integration/setup.sh --kernel   also the one kernel that `make test` boots, in .cache
#   integration/setup.sh --kernels  also all those that `make test-kernels` boots
#   integration/setup.sh --jobs     also the programs of `make test-jobs`
#   integration/setup.sh --network  also the programs of `make test-network`
#   integration/setup.sh --review   also what `make test-review` runs with --review
#   integration/setup.sh --inspect  also firejail, at whose processes `make test-inspect` looks
#   integration/setup.sh --learn    also the programs that `make test-learn` learns policies of
#   integration/setup.sh --bench    also the tools that `make bench` compares with
#   integration/setup.sh --cookbook also the programs of docs/cookbook.md
#   integration/setup.sh --systemd  also the servers of docs/systemd.md
#   integration/setup.sh --callers  also what `make test-callers` starts sbx with
#   integration/setup.sh --packages also what `make test-packages` installs them with
#   integration/setup.sh --arm64    also a cross compiler, libseccomp and qemu for arm64
set -eu

# The static build: a compiler (with ar and readelf), musl, the kernel's
# headers, libseccomp.a and its headers. pkg-config and glibc's headers are not
# used.
build="gcc linux-libc-dev make musl-tools libseccomp-dev"

# The demo: the server that it runs, and what its script calls.
demo="$build bash coreutils curl grep nginx-light sed"

# The unit tests, linked with glibc in the ordinary way.
quick="$build bash ca-certificates git libc6-dev mawk pkg-config"

# The programs that the tests run under sbx; the tools that look at it from the
# host; the guests of the kernel matrix.
test="$demo $quick
python3-minimal python3 jq sqlite3 tar xz-utils gzip procps
bash-completion bubblewrap runc strace zsh fish systemd libcap2-bin util-linux psmisc
qemu-system-x86 busybox-static e2fsprogs uidmap iproute2 apparmor login passwd
mount hostname diffutils media-types groff-base openssl openssh-client"

# The programs of testdata/jobs, which people use sbx for.
jobs="acl apache2 attr black caddy ccache chromium clang-format cmake default-jdk-headless ffmpeg flac gdb
ghostscript git-lfs gnupg graphviz gunicorn haproxy imagemagick lame libimage-exiftool-perl libreoffice-writer-nogui
librsvg2-bin ltrace maven memcached meson mosquitto mypy ninja-build openssh-client openssl optipng p7zip-full pandoc
php-cli php-fpm poppler-utils postgresql python3-numpy qpdf redis-server rsync ruby screen shellcheck socat sox tmux
unzip valgrind webp x11-apps x11-utils xsltproc xvfb zip cargo npm python3-pytest python3-pip python3-venv
python3-setuptools python3-wheel lighttpd"

# Where there is no apt, commands are looked for in their place.
build_tools="gcc ar readelf make musl-gcc"
demo_tools="$build_tools curl nginx"
quick_tools="$build_tools git pkg-config"
test_tools="$demo_tools $quick_tools python3 jq sqlite3 tar xz bwrap runc strace zsh fish
systemd-socket-activate systemd-analyze setcap newuidmap ip"

mode=${1:---test}
case $mode in
--build) packages=$build tools=$build_tools ;;
--demo) packages=$demo tools=$demo_tools ;;
--quick) packages=$quick tools=$quick_tools ;;
--test | --kernel | --kernels) packages=$test tools=$test_tools ;;
--jobs)
	packages="$test $jobs"
	tools="$test_tools cargo npm ffmpeg soffice chromium redis-server psql gunicorn haproxy caddy mvn gdb"
	;;
--network)
	packages="$test bind9-dnsutils cargo chromium default-jdk-headless netcat-openbsd npm openssh-client openssh-server
python3-pip python3-venv wget"
	tools="$test_tools cargo chromium dig javac nc npm sshd wget"
	;;
--review) packages="$test fuse2fs npm vim" tools="$test_tools fuse2fs npm vim" ;;
--inspect) packages="$test firejail" tools="$test_tools firejail" ;;
--learn)
	packages="$test npm python3-pip python3-setuptools python3-wheel redis-server postgresql ffmpeg"
	tools="$test_tools npm redis-server psql ffmpeg"
	;;
--bench)
	packages="$test hyperfine firejail passt slirp4netns"
	tools="$test_tools hyperfine firejail pasta slirp4netns"
	;;
--cookbook)
	packages="$test redis-server postgresql ffmpeg openssh-client npm xvfb x11-utils"
	tools="$test_tools redis-server psql ffmpeg ssh-agent npm Xvfb xdpyinfo"
	;;
--systemd)
	packages="$test redis-server postgresql dbus-daemon"
	tools="$test_tools redis-server redis-cli psql dbus-daemon"
	;;
--callers)
	packages="$test cron nodejs openssh-client openssh-server rustc sudo"
	tools="$test_tools cron node rustc ssh sshd sudo"
	;;
--packages) packages="$build git gzip rpm man-db util-linux" tools="$build_tools git gzip rpm man unshare" ;;
--arm64)
	packages="$test gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static"
	tools="$test_tools aarch64-linux-gnu-gcc qemu-aarch64-static"
	;;
*)
	echo "setup: unknown option $mode" >&2
	exit 2
	;;
esac

if ! command -v go >/dev/null && [ ! -x /usr/local/go/bin/go ]; then
	version=$(sed -n 's/^go //p' "$(dirname "$0")/../go.mod")
	echo "setup: Go is missing: sbx needs Go $version or newer, from https://go.dev/dl" >&2
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
	npm) [ -x /usr/bin/npm ] ;; # of whatever package
	*) dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed ;;
	esac
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	missing=""
	for tool in $tools; do
		command -v "$tool" >/dev/null || [ -x "/usr/sbin/$tool" ] || missing="$missing $tool"
	done
	for file in /usr/include/seccomp.h /usr/include/linux/seccomp.h; do
		[ -e "$file" ] || missing="$missing $file"
	done
	if [ -z "$missing" ]; then
		kernels
		exit 0
	fi
	echo "setup: there is no apt here, so please install what provides:$missing" >&2
	echo "setup: the static libseccomp (libseccomp.a) is needed as well" >&2
	exit 1
fi

missing=""
for package in $packages; do
	case "$missing " in
	*" $package "*) continue ;; # in two of the lists
	esac
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
