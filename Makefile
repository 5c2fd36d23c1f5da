# The targets a person guesses. `make demo` and `make test` each work as the
# first and only command on a Debian 12 with Go.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build demo test unit race integration test-kernel test-kernels test-formats lint fmt vet arm64 bench fuzz soak clean

export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
GOARGS  := -trimpath -buildvcs=false
CACHE   := $(CURDIR)/.cache
MUSL    := $(CACHE)/musl

# How long the fuzz targets run each, and the soak altogether.
FUZZTIME ?= 60s
SOAKTIME ?= 20m
# One run in two processes at a time: the suites measure and race.
GOTEST   := go test -buildvcs=false -p 2

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.1

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## install what building and testing needs (apt, as root)
	@integration/setup.sh

# musl-gcc looks at nothing of glibc's: the kernel's and libseccomp's headers
# and the archive are shown to it alone, not the directories they stand in
# (there it would find glibc's headers and libc.a).
$(MUSL)/lib/libseccomp.a: integration/musl/fprintf_chk.c | setup
	@mkdir -p $(MUSL)/include $(MUSL)/lib
	@ln -sfn /usr/include/linux $(MUSL)/include/linux
	@ln -sfn /usr/include/asm-generic $(MUSL)/include/asm-generic
	@ln -sfn /usr/include/$(shell gcc -print-multiarch)/asm $(MUSL)/include/asm
	@ln -sf /usr/include/seccomp.h /usr/include/seccomp-syscalls.h $(MUSL)/include/
	@musl-gcc -O2 -c -o $(MUSL)/fprintf_chk.o $<
	@cp /usr/lib/$(shell gcc -print-multiarch)/libseccomp.a $@.new
	@ar r $@.new $(MUSL)/fprintf_chk.o
	@mv $@.new $@

build: setup $(MUSL)/lib/libseccomp.a ## bin/sbx: one static, stripped binary
	@CGO_ENABLED=1 CC=musl-gcc \
	CGO_CFLAGS="-O2 -I$(MUSL)/include" CGO_LDFLAGS="-L$(MUSL)/lib" \
	go build $(GOARGS) -tags osusergo,netgo -o bin/sbx \
	  -ldflags "-s -w -linkmode external -extldflags '-static' -X main.version=$(VERSION) -X main.commit=$(COMMIT)" \
	  ./cmd/sbx
	@if readelf -l bin/sbx | grep -q INTERP; then echo 'bin/sbx is not static' >&2; exit 1; fi

demo: build ## see it work: an untrusted script, nginx, a plan
	@integration/demo.sh

test: lint unit race integration test-kernel ## everything CI runs, at most 10 minutes on two cores

unit: setup ## tests that need no privilege
	$(GOTEST) $$(go list ./... | grep -v /integration)

# What is pure and has no goroutines is left out: it would take minutes.
race: setup ## the launcher under the race detector
	$(GOTEST) -race ./sandbox/... ./policy/seccomp/cache

integration: build ## the user's view: real programs, as root and as a user
	SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 8m ./integration/...

# In guests, under qemu. KERNELS names some of the matrix, RUN some tests.
KERNELS ?= all
test-kernels: build ## boot Debian's kernels and run the tests there (KERNELS="6.1 new" RUN=TestScript/limits)
	@integration/setup.sh --kernels
	SBX_KERNELS="$(KERNELS)" SBX_GUEST_RUN="$(RUN)" SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 60m -v ./integration/kernels

test-kernel: build ## a short form of it on one kernel
	@integration/setup.sh --kernel
	SBX_KERNELS=short SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 20m ./integration/kernels

test-formats: build ## import Debian's hardened units, compare with systemd's own answers
	SBX_BIN=$(CURDIR)/bin/sbx integration/formats.sh

lint: setup $(CACHE)/bin/staticcheck ## gofmt, go vet, staticcheck (see .ci/lint)
	@.ci/lint

$(CACHE)/bin/staticcheck:
	@mkdir -p $(CACHE)/bin
	GOBIN=$(CACHE)/bin go install $(STATICCHECK)

fmt: ## format the Go files
	gofmt -w $$(git ls-files '*.go')

arm64: ## cross-compile for arm64 and run its unit tests under qemu
	@integration/setup.sh --arm64
	@integration/arm64.sh

bench: build ## measure against bubblewrap and others, write docs/bench.md
	@integration/setup.sh --bench
	go run ./integration/bench -sbx bin/sbx -write docs/bench.md
	@sed -i '/^|/d' docs/bench-filters.md
	go run ./policy/seccomp/internal/percall | tee -a docs/bench-filters.md

fuzz: setup ## every fuzz target for FUZZTIME (60s)
	@.ci/fuzz $(FUZZTIME)

soak: build ## the long suites: 10,000 launches, kills, races, and SOAKTIME (20m) of more
	SBX_BIN=$(CURDIR)/bin/sbx SBX_SOAK=$(SOAKTIME) $(GOTEST) -tags soak -count=1 -timeout 8h -v -run Soak ./integration

clean: ## remove what make made
	rm -rf bin .cache
