#!/bin/sh
# Where AppArmor knows rules for user namespaces (4.0: Ubuntu 24.04, Debian 13),
# sbx gets a profile that allows them: Ubuntu lets no program of a user's make
# one without. Older parsers would stop at such a profile, so it is not among the
# package's files in /etc.
set -e
profile=/etc/apparmor.d/sbx
[ -e /etc/apparmor.d/abi/4.0 ] || exit 0
# One that somebody else wrote stays.
if [ -e $profile ] && ! head -n 1 $profile | grep -q 'by the package sbx'; then
	exit 0
fi
cp /usr/share/sbx/apparmor $profile
chmod 644 $profile
# What AppArmor is not loaded in, a container or a root file system that is being
# made, gets the profile when it starts.
if [ -d /sys/kernel/security/apparmor ] && command -v apparmor_parser >/dev/null; then
	apparmor_parser -r $profile || echo "sbx: $profile could not be loaded" >&2
fi
exit 0
