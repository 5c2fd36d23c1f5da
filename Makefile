# The targets a person guesses. On a Debian 12 with Go, each works as the first
# and only command: what is missing is installed, by root. `make build` takes
# five packages; `make demo`, `make quick` and `make test` take more.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Two runs of apt at the same time would fail by its lock, and Go uses all
# processors as it is.
.NOTPARALLEL:
SETUPS := setup-build setup-demo setup-quick setup-test
.PHONY: help setup $(SETUPS) build demo quick test unit race integration \
  test-kernel test-kernels test-formats test-jobs lint fmt arm64 bench fuzz soak clean

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

setup: setup-test ## install what building and testing needs (apt, as root)

$(SETUPS): setup-%:
	@integration/setup.sh --$*

# musl-gcc looks at nothing of glibc's: the kernel's and libseccomp's headers
# and the archive are shown to it alone, not the directories they stand in
# (there it would find glibc's headers and libc.a).
$(MUSL)/lib/libseccomp.a: integration/musl/fprintf_chk.c | setup-build
	@mkdir -p $(MUSL)/include $(MUSL)/lib
	@ln -sfn /usr/include/linux $(MUSL)/include/linux
	@ln -sfn /usr/include/asm-generic $(MUSL)/include/asm-generic
	@ln -sfn /usr/include/$(shell gcc -print-multiarch)/asm $(MUSL)/include/asm
	@ln -sf /usr/include/seccomp.h /usr/include/seccomp-syscalls.h $(MUSL)/include/
	@musl-gcc -O2 -c -o $(MUSL)/fprintf_chk.o $<
	@cp /usr/lib/$(shell gcc -print-multiarch)/libseccomp.a $@.new
	@ar r $@.new $(MUSL)/fprintf_chk.o
	@mv $@.new $@

# libseccomp-golang asks pkg-config where libseccomp is. Its answer is that of
# glibc's programs, so nobody is asked: the flags below say it.
build: setup-build $(MUSL)/lib/libseccomp.a ## bin/sbx: one static, stripped binary
	@CGO_ENABLED=1 CC=musl-gcc PKG_CONFIG=true \
	CGO_CFLAGS="-O2 -I$(MUSL)/include" CGO_LDFLAGS="-L$(MUSL)/lib -lseccomp" \
	go build $(GOARGS) -tags osusergo,netgo -o bin/sbx \
	  -ldflags "-s -w -linkmode external -extldflags '-static' -X main.version=$(VERSION) -X main.commit=$(COMMIT)" \
	  ./cmd/sbx
	@if readelf -l bin/sbx | grep -q INTERP; then echo 'bin/sbx is not static' >&2; exit 1; fi

demo: setup-demo build ## see it work: an untrusted script, nginx, a plan
	@integration/demo.sh

# The loop while writing code: -short starts no sandbox, and nothing here needs
# a privilege. What is built already and did not change is not done again.
quick: setup-quick ## go vet and the tests that start no sandbox: a minute, no privilege
	go vet -buildvcs=false ./...
	$(GOTEST) -short $$(go list ./... | grep -v /integration) ./integration/layout

test: lint unit race integration test-kernel ## everything CI runs, at most 10 minutes on two cores

unit: setup-test ## tests that need no privilege
	$(GOTEST) $$(go list ./... | grep -v /integration)

# What is pure and has no goroutines is left out: it would take minutes.
race: setup-test ## the launcher under the race detector
	$(GOTEST) -race ./sandbox/... ./policy/seccomp/cache

integration: setup-test build ## the user's view: real programs, as root and as a user
	SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 8m ./integration/...

# In guests, under qemu. KERNELS names some of the matrix, RUN some tests.
KERNELS ?= all
test-kernels: setup-test build ## all of that on Debian's kernels (KERNELS="6.1 new" RUN=TestScript/limits)
	@integration/setup.sh --kernels
	SBX_KERNELS="$(KERNELS)" SBX_GUEST_RUN="$(RUN)" SBX_BIN=$(CURDIR)/bin/sbx \
	$(GOTEST) -count=1 -timeout 60m -v ./integration/kernels

test-kernel: setup-test build ## a short form of it on one kernel
	@integration/setup.sh --kernel
	SBX_KERNELS=short SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 20m ./integration/kernels

test-formats: setup-test build ## import Debian's hardened units, compare with systemd's own answers
	SBX_BIN=$(CURDIR)/bin/sbx integration/formats.sh

test-jobs: setup-test build ## npm, cargo, go, pytest and pip in project, as before
	@integration/setup.sh --jobs
	SBX_JOBS=1 SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 20m -run TestScript ./integration

lint: setup-test $(CACHE)/bin/staticcheck ## gofmt, go vet, staticcheck, go.mod, long lines (see .ci/lint)
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

fuzz: setup-test ## every fuzz target for FUZZTIME (60s)
	@.ci/fuzz $(FUZZTIME)

soak: setup-test build ## the long suites: 10,000 launches, kills, races, and SOAKTIME (20m) of more
	SBX_BIN=$(CURDIR)/bin/sbx SBX_SOAK=$(SOAKTIME) $(GOTEST) -tags soak -count=1 -timeout 8h -v -run Soak ./integration

clean: ## remove what make made
	rm -rf bin .cache
