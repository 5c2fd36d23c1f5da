#!/bin/sh
# dpkg says "remove", rpm the number of packages that stay.
set -e
case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
profile=/etc/apparmor.d/sbx
if [ -e $profile ] && head -n 1 $profile | grep -q 'by the package sbx'; then
	if [ -d /sys/kernel/security/apparmor ] && command -v apparmor_parser >/dev/null; then
		apparmor_parser -R $profile || true # it was not loaded
	fi
	rm $profile
fi
exit 0
