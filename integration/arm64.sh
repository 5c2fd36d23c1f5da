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
go build -buildvcs=false -tags osusergo,netgo -ldflags "-s -w -linkmode external -extldflags '-static'" \
	-o .cache/arm64/sbx ./cmd/sbx
echo "arm64: qemu: $(qemu-aarch64-static .cache/arm64/sbx --version)"
# qemu-user knows no openat2(2), and what forks raw, mounts or filters is the
# kernel's business, which it does not emulate: those packages' tests are
# compiled. The tables, the policy language and the filters' answers also run.
tested='{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}'
for package in $(go list -f "$tested" ./... | grep -v -E '/integration|/cmd/'); do
	case $package in
	sbx/policy | sbx/policy/seccomp | sbx/policies/filters | sbx/ns | sbx/caps | sbx/internal/step | sbx/internal/text | \
		sbx/internal/sys)
		go test -ldflags "-linkmode external -extldflags '-static'" -exec qemu-aarch64-static -short "$package"
		;;
	*)
		go test -c -o /dev/null "$package"
		echo "ok  	$package compiles"
		;;
	esac
done
