#!/usr/bin/env bash
# Cross-compiles everything for arm64 and runs the tests of the packages that
# need no privilege under qemu's user emulation. `make arm64` calls it.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=1 GOOS=linux GOARCH=arm64 CC=aarch64-linux-gnu-gcc
export PKG_CONFIG_PATH=/usr/lib/aarch64-linux-gnu/pkgconfig
export QEMU_LD_PREFIX=/usr/aarch64-linux-gnu
echo "arm64: go vet"
go vet ./...
echo "arm64: build"
mkdir -p .cache/arm64
go build -buildvcs=false -tags osusergo,netgo -ldflags "-s -w -linkmode external -extldflags '-static'" -o .cache/arm64/sbx ./cmd/sbx
echo "arm64: qemu: $(qemu-aarch64-static .cache/arm64/sbx --version)"
# What forks raw, mounts or filters is the kernel's business, which qemu-user
# does not emulate: these packages are compiled, the others also run.
for package in $(go list ./... | grep -v -E '/integration|/cmd/'); do
	if [ -n "$(go list -f '{{.TestGoFiles}}{{.XTestGoFiles}}' "$package" | tr -d '[]')" ]; then
		case $package in
		sbx/sandbox | sbx/sandbox/child)
			go test -c -o /dev/null "$package"
			echo "ok  	$package compiles"
			;;
		*) go test -ldflags "-linkmode external -extldflags '-static'" -exec qemu-aarch64-static -short "$package" ;;
		esac
	fi
done
