# The targets a person guesses. On a Debian 12 with Go, each works as the first
# and only command: what is missing is installed, by root. `make build` takes
# five packages; `make demo`, `make quick` and `make test` take more.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Two runs of apt at the same time would fail by its lock, and Go uses all
# processors as it is.
.NOTPARALLEL:
SETUPS := setup-build setup-demo setup-quick setup-test setup-packages setup-cookbook setup-systemd setup-callers
.PHONY: help setup $(SETUPS) build demo quick test unit race integration \
  test-kernel test-kernels test-network test-agents test-formats test-inspect test-jobs test-learn test-review \
  test-packages test-cookbook test-systemd test-callers \
  lint fmt arm64 bench fuzz soak clean \
  install uninstall stage deb rpm dist

export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

# The version is the tag's: v1.2.3, or v1.2.3-4-gabcdef of four commits later.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
# For every build: what one has compiled, the others find done. -trimpath is for the
# binary alone: with it staticcheck looks for cgo's files where another checkout was.
export GOFLAGS := -buildvcs=false -tags=osusergo,netgo
CACHE   := $(CURDIR)/.cache
MUSL    := $(CACHE)/musl

# Where make install puts things, below DESTDIR.
PREFIX  ?= /usr/local
DESTDIR ?=

# Packages are the same, byte for byte, whoever makes them of one commit: their
# times are the commit's.
NFPM := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.48.0
ARCH := $(shell PATH="$(PATH)" go env GOARCH 2>/dev/null)
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
# Debian's and RPM's versions begin with a digit and have no dash.
PACKAGE_VERSION := $(shell echo '$(VERSION)' | \
  sed -E 's/^v([0-9])/\1/; s/^([^0-9]|[0-9a-f]+(-dirty)?$$)/0~\1/; s/-/+/g')

# How long the fuzz targets run each, and the soak altogether.
FUZZTIME ?= 60s
SOAKTIME ?= 20m
# One run in two processes at a time: the suites measure and race. go vet has
# its place in lint.
GOTEST   := go test -vet=off -p 2

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.1

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

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

# The binary has no build id: Go's and the linker's depend on the directory that
# the flags for libseccomp name, and two builds of one commit are to be the same.
# libseccomp-golang asks pkg-config where libseccomp is. Its answer is that of
# glibc's programs, so nobody is asked: the flags below say it.
build: setup-build $(MUSL)/lib/libseccomp.a ## bin/sbx: one static, stripped binary
	@CGO_ENABLED=1 CC=musl-gcc PKG_CONFIG=true \
	CGO_CFLAGS="-O2 -I$(MUSL)/include" CGO_LDFLAGS="-L$(MUSL)/lib -lseccomp" \
	go build -trimpath -o bin/sbx \
	  -ldflags "-s -w -buildid= -B none -linkmode external -extldflags '-static' \
	    -X main.version=$(VERSION) -X main.commit=$(COMMIT)" \
	  ./cmd/sbx
	@if readelf -l bin/sbx | grep -q INTERP; then echo 'bin/sbx is not static' >&2; exit 1; fi

# It does not build what is there: `make build && sudo make install`.
bin/sbx:
	@$(MAKE) --no-print-directory build

# DESTDIR and PREFIX reach the shell as they are, with spaces and all.
install uninstall: export TO = $(DESTDIR)$(PREFIX)
install uninstall: export ETC = $(DESTDIR)/etc/sbx
install uninstall: export AT = $(PREFIX)
install: bin/sbx ## the binary, manual pages, completions, /etc/sbx/policies (PREFIX, DESTDIR)
	@case "$$AT" in *['|&\"']*) bad=1;; /*) bad=;; *) bad=1;; esac; if [ "$$bad" ]; then \
	  echo "PREFIX is no absolute path without any of | & \\ \": $$AT" >&2; exit 1; fi
	@share="$$TO/share" && set -e && \
	install -d "$$ETC/policies" "$$share/sbx" "$$share/doc/sbx" "$$share/man/man1" "$$share/man/man5" \
	  "$$share/bash-completion/completions" "$$share/zsh/site-functions" "$$share/fish/vendor_completions.d"; \
	install -D -m 755 bin/sbx "$$TO/bin/sbx"; \
	for page in docs/*.[15]; do \
	  to="$$share/man/man$${page##*.}/$${page##*/}"; install -m 644 $$page "$$to"; gzip -9nf "$$to"; done; \
	bin/sbx completion bash >"$$share/bash-completion/completions/sbx"; \
	bin/sbx completion zsh >"$$share/zsh/site-functions/_sbx"; \
	bin/sbx completion fish >"$$share/fish/vendor_completions.d/sbx.fish"; \
	install -m 644 README.md CHANGELOG.md SECURITY.md docs/*.md "$$share/doc/sbx/"; \
	sed -e '/@LICENSE@/{r LICENSE' -e 'd}' .ci/package/copyright >"$$share/doc/sbx/copyright"; \
	sed "s|@BIN@|$$AT/bin/sbx|" .ci/package/apparmor >"$$share/sbx/apparmor"; \
	chmod 644 "$$share/bash-completion/completions/sbx" "$$share/zsh/site-functions/_sbx" \
	  "$$share/fish/vendor_completions.d/sbx.fish" "$$share/doc/sbx/copyright" "$$share/sbx/apparmor"

uninstall: ## what install made, but for policies in /etc/sbx/policies
	@share="$$TO/share" && rm -rf "$$share/doc/sbx" && rm -f "$$TO/bin/sbx" "$$share/sbx/apparmor" \
	  "$$share/bash-completion/completions/sbx" "$$share/zsh/site-functions/_sbx" \
	  "$$share/fish/vendor_completions.d/sbx.fish" && \
	for page in docs/*.[15]; do rm -f "$$share/man/man$${page##*.}/$${page##*/}.gz"; done
	@for dir in "$$TO/share/sbx" "$$ETC/policies" "$$ETC"; do \
	  [ ! -d "$$dir" ] || rmdir --ignore-fail-on-non-empty "$$dir"; done

# What is in the packages. Debian's zsh has a place of its own for completions.
stage: build
	@rm -rf $(CACHE)/stage && mkdir -p dist
	@umask 022 && $(MAKE) --no-print-directory install DESTDIR=$(CACHE)/stage PREFIX=/usr
	@install -D -m 644 $(CACHE)/stage/usr/share/zsh/site-functions/_sbx \
	  $(CACHE)/stage/usr/share/zsh/vendor-completions/_sbx
	@find $(CACHE)/stage -exec touch -h -d @$$SOURCE_DATE_EPOCH {} +

deb rpm: stage ## the package, in dist/
	@STAGE=$(CACHE)/stage ARCH=$(ARCH) PACKAGE_VERSION='$(PACKAGE_VERSION)' \
	go run $(NFPM) package -f .ci/package/nfpm.yaml -p $@ -t dist/

dist: ## packages, the binary, its SBOM and SHA256SUMS, in dist/
	@rm -rf dist
	@$(MAKE) --no-print-directory deb rpm
	@cp bin/sbx dist/sbx-$(VERSION)-linux-$(ARCH)
	@go run ./integration/sbom -binary bin/sbx -version $(VERSION) \
	  -library libseccomp=$$(dpkg-query -W -f '$${Version}' libseccomp-dev) \
	  -library musl=$$(dpkg-query -W -f '$${Version}' musl-dev) >dist/sbx-$(VERSION)-linux-$(ARCH).spdx.json
	@cd dist && rm -f SHA256SUMS && sha256sum -- * >SHA256SUMS.new && mv SHA256SUMS.new SHA256SUMS

test-packages: setup-packages ## build twice and compare; install, run and remove, in a root file system of its own
	@integration/packages.sh

demo: setup-demo build ## see it work: an untrusted script, nginx, a plan
	@integration/demo.sh

# The loop while writing code: -short starts no sandbox, and nothing here needs
# a privilege. What is built already and did not change is not done again.
quick: setup-quick ## go vet and the tests that start no sandbox: a minute, no privilege
	go vet ./...
	$(GOTEST) -short $$(go list ./... | grep -v /integration) ./integration/layout

# The guest's one processor is emulated for as long as the first three take:
# it runs beside them. What integration measures it measures alone.
test: setup-test build ## everything CI runs, at most 10 minutes on two cores
	@integration/setup.sh --kernel
	@$(MAKE) --no-print-directory test-kernel >$(CACHE)/test-kernel.log 2>&1 & guest=$$!; \
	trap 'kill $$guest' INT TERM; \
	status=0; $(MAKE) --no-print-directory lint unit race || status=$$?; \
	wait $$guest || status=$$?; cat $(CACHE)/test-kernel.log; exit $$status
	@$(MAKE) --no-print-directory integration

unit: setup-test ## tests that need no privilege
	$(GOTEST) $$(go list ./... | grep -v /integration)

# What is pure and has no goroutines is left out, as are the sweeps of faults: they would take
# minutes. make soak has the sweeps.
race: setup-test ## the launcher under the race detector
	$(GOTEST) -race -skip Faults $$(go list ./sandbox/... | grep -v /rootfs) ./internal/cache

integration: setup-test build ## the user's view: real programs, as root and as a user
	SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 20m ./integration/...

# In guests, under qemu. KERNELS names some of the matrix, RUN some tests.
KERNELS ?= all
# On the running kernel, which needs no guest, with all that make test-systemd does.
test-kernels: setup-test setup-systemd build ## all of that on Debian's kernels (KERNELS="6.1" RUN=TestScript/limits)
	@integration/setup.sh --kernels
	@integration/newroot.sh
	SBX_KERNELS="$(KERNELS)" SBX_GUEST_RUN="$(RUN)" SBX_BIN=$(CURDIR)/bin/sbx \
	SBX_SYSTEMD=1 SBX_SYSTEMD_ROOT=$(CACHE)/newroot \
	$(GOTEST) -count=1 -timeout 60m -v ./integration/kernels

test-kernel: setup-test build ## a short form of it on one kernel
	@integration/setup.sh --kernel
	SBX_KERNELS=short SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 20m ./integration/kernels

test-network: setup-test build ## hosts by name, the long form: registries, git, Java, ..., and floods of connections
	@integration/setup.sh --network
	SBX_NETWORK=1 SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 20m -run 'TestByName|TestPublish' ./integration

# The agents are fetched from npm's registry; the tests themselves need no network.
AGENTS := @anthropic-ai/claude-code@2.1.197 @openai/codex@0.171.0 @google/gemini-cli@0.61.0
test-agents: setup-test build ## three command-line agents under role agent, by the lines of docs/network.md, as root
	@integration/setup.sh --network
	@npm install --silent --no-audit --no-fund --prefix $(CACHE)/agents $(AGENTS)
	@rm -rf /var/tmp/sbx-agents && cp -a $(CACHE)/agents /var/tmp/sbx-agents
	@status=0; SBX_AGENTS=/var/tmp/sbx-agents SBX_BIN=$(CURDIR)/bin/sbx \
	$(GOTEST) -count=1 -timeout 10m -run TestByNameAgents ./integration || status=$$?; \
	rm -rf /var/tmp/sbx-agents; exit $$status

test-cookbook: setup-cookbook build ## also the recipes of docs/cookbook.md whose programs make test does not install
	SBX_COOKBOOK=1 SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 10m -run TestCookbook ./integration

test-systemd: setup-systemd build ## units of every kind, and of docs/systemd.md, under a real systemd, as root
	@integration/newroot.sh
	SBX_SYSTEMD=1 SBX_SYSTEMD_ROOT=$(CACHE)/newroot SBX_MUST_WORK=1 SBX_BIN=$(CURDIR)/bin/sbx \
	$(GOTEST) -count=1 -timeout 10m -run 'TestSystemd(Units|Newer)?$$' ./integration

test-callers: setup-callers build ## sbx started by sudo, su, ssh, cron, and programs in Rust and JavaScript
	SBX_CALLERS=1 SBX_MUST_WORK=1 SBX_BIN=$(CURDIR)/bin/sbx \
	$(GOTEST) -count=1 -timeout 10m -run 'TestCallersLong$$' ./integration

test-formats: setup-test build ## import Debian's hardened units, compare with systemd's own answers
	SBX_BIN=$(CURDIR)/bin/sbx integration/formats.sh

test-jobs: setup-test build ## the jobs of integration/testdata/jobs, with the large programs too
	@integration/setup.sh --jobs
	SBX_JOBS=1 SBX_BIN=$(CURDIR)/bin/sbx \
	$(GOTEST) -count=1 -timeout 20m -run 'TestScript|TestJobs|TestWriters|TestJudge' ./integration

test-review: setup-test build ## reviews: hostile programs, 100,000 files, kills, npm, vim
	@integration/setup.sh --review
	SBX_REVIEW=1 SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 20m -run TestReview ./integration

test-inspect: setup-test build ## sbx inspect of what other launchers start, firejail too
	@integration/setup.sh --inspect
	SBX_INSPECT=1 SBX_MUST_WORK=1 SBX_BIN=$(CURDIR)/bin/sbx \
	$(GOTEST) -count=1 -timeout 10m -run 'TestInspect|TestSystemd$$' ./integration

test-learn: setup-test build ## policies learnt of nginx, git, go, npm, pip, PostgreSQL and others
	@integration/setup.sh --learn
	SBX_LEARN=1 SBX_BIN=$(CURDIR)/bin/sbx $(GOTEST) -count=1 -timeout 30m -v -run TestLearn ./integration

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
	SBX_MANY=50 $(GOTEST) -count=1 -timeout 2h -run 'Random|NeverLooser|Stress|TestKernel|Shipped' \
	  ./policy/... ./sandbox/internal/launch
	SBX_SEEDS=200000 $(GOTEST) -count=1 -timeout 1h -run TestProperties ./sandbox/internal/rootfs
	$(GOTEST) -race -count=1 -run Faults ./sandbox/internal/launch
	SBX_BIN=$(CURDIR)/bin/sbx SBX_SOAK=$(SOAKTIME) \
	$(GOTEST) -tags soak -count=1 -timeout 8h -v \
	  -run 'Soak|TestFaultSweep|TestOracle|TestStorm|TestInitStopped' ./integration

clean: ## remove what make made
	rm -rf bin dist .cache
