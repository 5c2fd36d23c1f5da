#!/usr/bin/env bash
# Fetches Debian's kernels for the guests: .cache/kernels/NAME/ gets vmlinuz,
# config, release and the few modules a guest needs. Nothing is installed and
# the system's own package lists are not touched, so no root is needed.
#
#   integration/kernels/fetch.sh NAME...    5.10, 6.1, 6.12 or new
#
# DEBIAN_MIRROR, DEBIAN_SECURITY_MIRROR: other mirrors than deb.debian.org's.
set -eu
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/kernels
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
security=${DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The cloud flavour: the same sources and the same protections in its configuration,
# a third of the drivers.
for name in "$@"; do
	meta=linux-image-cloud-amd64
	case $name in
	5.10) source="$security bullseye-security" ;; # older than sbx needs
	6.1) source="$security bookworm-security" ;;
	6.12) source="$security bookworm-security" meta=linux-image-6.12-cloud-amd64 ;;
	new) source="$mirror trixie-backports" ;; # the newest that Debian supports
	*)
		echo "fetch: unknown kernel $name" >&2
		exit 2
		;;
	esac
	[ -e "$cache/$name/release" ] && continue

	work=$cache/fetch-$name
	rm -rf "$work" "${cache:?}/$name"
	mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/x"
	echo "deb [arch=amd64 signed-by=$keyring] $source main" >"$work/sources.list"
	apt=(-qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=-
		-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work" -o Dir::Cache::Archives="$work/archives"
		-o Dir::State::Status=/dev/null -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3
		-o APT::Architecture=amd64)
	apt-get "${apt[@]}" update
	image=$(apt-cache "${apt[@]}" depends "$meta" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
	if [ -z "$image" ]; then
		echo "fetch: $source has no $meta" >&2
		exit 1
	fi
	echo "fetch: kernel $name: $image"
	# Since 6.17 the image is three packages of the same version.
	parts=$(apt-cache "${apt[@]}" depends "$image" | sed -n 's/^ *Depends: \(linux-[a-z]*-[0-9].*\)$/\1/p')
	# shellcheck disable=SC2086 # a list of words
	(cd "$work" && apt-get "${apt[@]}" download $image $parts)
	for deb in "$work"/linux-*.deb; do
		dpkg-deb -x "$deb" "$work/x"
	done
	modules=$(find "$work/x" -type d -regex '.*/lib/modules/[^/]*/kernel')
	vmlinuz=$(find "$work/x" -type f -regex '.*/\(boot/vmlinuz-[^/]*\|lib/modules/[^/]*/vmlinuz\)')
	config=$(find "$work/x" -type f -regex '.*/\(boot/config-[^/]*\|lib/modules/[^/]*/config\)')
	if [ ! -d "$modules" ] || [ ! -f "$vmlinuz" ] || [ ! -f "$config" ]; then
		echo "fetch: $image and what it needs have no kernel, configuration and modules in the places expected" >&2
		exit 1
	fi
	mkdir -p "$work/out/modules"
	# What a guest's init loads: its disks, and what sandboxes may ask for.
	for module in drivers/virtio/virtio drivers/virtio/virtio_ring drivers/virtio/virtio_pci_legacy_dev \
		drivers/virtio/virtio_pci_modern_dev drivers/virtio/virtio_pci drivers/block/virtio_blk fs/overlayfs/overlay; do
		# What is built in has no file.
		for file in "$modules/$module.ko"*; do
			[ -e "$file" ] && cp "$file" "$work/out/modules/"
		done
	done
	for file in "$work"/out/modules/*.xz; do
		[ -e "$file" ] && xz -d "$file"
	done
	cp "$vmlinuz" "$work/out/vmlinuz"
	cp "$config" "$work/out/config"
	basename "$(dirname "$modules")" >"$work/out/release"
	mv "$work/out" "$cache/$name"
	rm -rf "$work"
done
