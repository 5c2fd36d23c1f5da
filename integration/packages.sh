#!/usr/bin/env bash
# Builds the last commit twice, in two directories, and compares all that comes
# out; then installs, runs and removes the packages. Each lives in an overlay on
# this machine's root file system, in a mount namespace of its own, and the
# overlay's upper directory says what is left. `make test-packages` calls it, as
# root; nothing is installed on the machine itself.
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" -ne 0 ]; then
	echo "packages: an overlay on the root file system needs root: sudo make test-packages" >&2
	exit 1
fi
work=$(mktemp -d /var/tmp/sbx-packages-XXXXXX)
trap 'rm -rf "$work"' EXIT
version=v9.8.7
fail() {
	echo "packages: $*" >&2
	exit 1
}

git diff --quiet HEAD || echo "packages: the last commit is tested, without what is not committed"
one=$work/one two=$work/a/longer/way/to/two
for dir in "$one" "$two"; do
	git clone -q . "$dir"
	git -C "$dir" tag $version
done
echo "packages: first build"
make -s -C "$one" dist
echo "packages: second build, from nothing, elsewhere"
mkdir "$work/tmp"
TMPDIR=$work/tmp GOCACHE=$work/cache make -s -C "$two" build
cmp "$one/bin/sbx" "$two/bin/sbx"
TMPDIR=$work/tmp make -s -C "$two" dist
diff -r "$one/dist" "$two/dist"
(cd "$one/dist" && sha256sum --quiet -c SHA256SUMS)
[ "$(wc -l <"$one/dist/SHA256SUMS")" -eq 4 ] || fail "dist: $(ls "$one/dist")"
grep -q '"name": "github.com/seccomp/libseccomp-golang"' "$one"/dist/*.spdx.json
echo "packages: two builds are the same"

# What install makes, uninstall takes away, whatever the directories are named.
to="$work/de st'x"
for prefix in /usr "/opt/my sbx"; do
	make -s -C "$one" install "DESTDIR=$to" "PREFIX=$prefix"
	[ "$("$to$prefix/bin/sbx" --version | cut -d, -f1)" = "sbx $version" ]
	grep -qF "profile sbx \"$prefix/bin/sbx\" flags" "$to$prefix/share/sbx/apparmor"
	touch "$to/etc/sbx/policies/mine.toml"
	make -s -C "$one" uninstall "DESTDIR=$to" "PREFIX=$prefix"
	[ "$(find "$to" ! -type d)" = "$to/etc/sbx/policies/mine.toml" ] || fail "uninstall leaves $(find "$to" ! -type d)"
	rm "$to/etc/sbx/policies/mine.toml"
done
for prefix in usr '/a|b' '/a"b' ''; do
	! make -s -C "$one" install "DESTDIR=$to" "PREFIX=$prefix" 2>/dev/null || fail "PREFIX $prefix is accepted"
done
echo "packages: install and uninstall"

# inside COMMAND...: on the overlay. Its root is the namespace's, for in a chroot
# the kernel allows no user namespaces.
inside() {
	mkdir -p "$work/upper" "$work/overlay" "$work/root"
	unshare -m -- bash -eu -c '
		work=$1 dist=$2
		shift 2
		mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/overlay" "$work/root"
		mount --bind "$dist" "$work/root/mnt"
		mount --rbind /dev "$work/root/dev"
		mount -t proc proc "$work/root/proc"
		cd "$work/root"
		pivot_root . opt
		umount -l /opt
		cd /
		exec "$@"
	' inside "$work" "$one/dist" "$@"
}

# clean: what is left of a package that is gone.
clean() {
	local left
	left=$(find "$work/upper" ! -type d -printf '/%P\n' |
		grep -vE '^/(var/(lib|log|cache|backups)|root|run|tmp)/|^/etc/ld.so.cache$' || true)
	[ -z "$left" ] || fail "$1 leaves or changes: $left"
	[ ! -e "$work/upper/etc/sbx" ] || [ -c "$work/upper/etc/sbx" ] || fail "$1 leaves /etc/sbx"
	rm -rf "$work/upper" "$work/overlay" "$work/root"
}

# used: what a machine with the package has.
cat >"$work/used.sh" <<'S'
set -eu
[ "$(sbx --version | cut -d, -f1)" = "sbx v9.8.7" ]
[ "$(command -v sbx)" = /usr/bin/sbx ]
[ "$(stat -c '%a %U %G' /usr/bin/sbx)" = "755 root root" ]
[ "$(stat -c '%a %U %G' /etc/sbx/policies)" = "755 root root" ]
man -P cat sbx | grep -q 'run a program in a sandbox'
man -P cat 5 sbx-policy | grep -q 'files.read'
man -P cat sbx-seccomp | grep -q '@system-service'
bash -c '. /usr/share/bash-completion/completions/sbx; complete -p sbx' | grep -q _sbx
grep -q '^#compdef sbx' /usr/share/zsh/vendor-completions/_sbx /usr/share/zsh/site-functions/_sbx
grep -q 'complete -c sbx' /usr/share/fish/vendor_completions.d/sbx.fish
[ "$(sbx -- echo hello)" = hello ]
user="setpriv --reuid 65534 --regid 65534 --clear-groups --"
[ "$($user sbx -- id -u)" = 65534 ]
sbx policy new /etc/sbx/policies/shop.toml >/dev/null
$user sbx --policy shop -- true
rm /etc/sbx/policies/shop.toml
S
cp "$work/used.sh" "$one/dist/used.sh"

echo "packages: the .deb"
deb=$(basename "$one"/dist/*.deb) rpm=$(basename "$one"/dist/*.rpm)
inside dpkg -i "/mnt/$deb" >/dev/null
inside bash /mnt/used.sh
[ "$(inside dpkg-query -W -f '${Version}' sbx)" = 9.8.7-1 ] || fail "the version is not the tag's"
! inside test -e /etc/apparmor.d/sbx || [ -e /etc/apparmor.d/abi/4.0 ] || fail "a profile for an old AppArmor"
inside dpkg -P sbx >/dev/null
clean "the .deb"

echo "packages: the .deb where AppArmor has rules for user namespaces"
inside bash -eu -c '
	mkdir -p /etc/apparmor.d/abi
	[ -e /etc/apparmor.d/abi/4.0 ] || touch /etc/apparmor.d/abi/4.0
	dpkg -i "/mnt/$1" >/dev/null
	grep -q "^profile sbx \"/usr/bin/sbx\" flags=(unconfined)" /etc/apparmor.d/sbx
	grep -q "^  userns,$" /etc/apparmor.d/sbx
	dpkg -i "/mnt/$1" >/dev/null # an upgrade
	[ -e /etc/apparmor.d/sbx ]
	dpkg -P sbx >/dev/null
	[ ! -e /etc/apparmor.d/sbx ]
	echo "# mine" >/etc/apparmor.d/sbx
	dpkg -i "/mnt/$1" >/dev/null
	dpkg -P sbx >/dev/null
	[ "$(cat /etc/apparmor.d/sbx)" = "# mine" ]
	rm -r /etc/apparmor.d/sbx /etc/apparmor.d/abi/4.0
' apparmor "$deb"
rm -f "$work/upper/etc/apparmor.d/abi/4.0"
clean "the .deb with a profile"

echo "packages: the .rpm"
inside rpm -i --nodeps "/mnt/$rpm"
inside bash /mnt/used.sh
[ "$(inside rpm -q --qf '%{VERSION}' sbx)" = 9.8.7 ] || fail "the version is not the tag's"
inside rpm -e sbx
clean "the .rpm"

echo "packages: make install"
inside bash -eu -c 'cd "$1" && make -s install && sbx --version >/dev/null && man -w sbx sbx-policy >/dev/null' \
	install "$one"
find "$work/upper/usr/local" ! -type d | grep -q /usr/local/bin/sbx || fail "make install does not install"
echo "packages: all is well"
