# The front door: `make run` and `make test` do all from a bare Debian 12. Meson does the work.
#
#   make           build, as a tree that runs where it stands: build/stage
#   make run       start the suite in the foreground: user foo, password bar, PORT=1430
#   make test      everything that must hold, ends with one line: N passed, N failed
#   make check     the quick part of it: unit tests and lint
#   make check-crash  kills, power cuts, faults: all harnesses in CI's sizes, and a table of their counts
#   make check-long   the same in full size: hours
#   make lint      formatting, clang-tidy, man pages, layers, headers that stand alone
#   make format    clang-format over the tree
#   make fuzz      the fuzz targets for RIMS_FUZZ_SECONDS each (default 600)
#   make bench     RIMS beside Dovecot; writes doc/performance.md
#   make install   PREFIX=/usr/local DESTDIR=
#   make clean

PREFIX ?= /usr/local
DESTDIR ?=
PORT ?= 1430
SYSCONFDIR ?= $(if $(filter /usr /,$(PREFIX)),/etc,$(PREFIX)/etc)

# clang 19 is the compiler of record; make's own defaults (cc, g++) are not a choice of the user's.
ifeq ($(origin CC),default)
CC := $(if $(shell command -v ccache),ccache )clang-19
endif
ifeq ($(origin CXX),default)
CXX := $(if $(shell command -v ccache),ccache )clang++-19
endif
CC_LD ?= lld-19
CXX_LD ?= lld-19
export CC CXX CC_LD CXX_LD

RELEASE = build/release
DEV = build/dev
STAGE = build/stage
PLACES = -Dprefix=$(PREFIX) -Dsysconfdir=$(SYSCONFDIR)

all: stage

deps:
	@tools/install-deps build

$(RELEASE)/build.ninja: | deps
	meson setup $(RELEASE) --buildtype=release -Dtests=false $(PLACES)

# The places where things will be installed may change between two calls.
release: $(RELEASE)/build.ninja
	@meson introspect $(RELEASE) --buildoptions | \
	  python3 -c 'import json,sys; o={x["name"]:x["value"] for x in json.load(sys.stdin)}; \
	  sys.exit(o["prefix"]!="$(PREFIX)" or o["sysconfdir"]!="$(SYSCONFDIR)")' || \
	  meson configure $(RELEASE) $(PLACES)
	ninja -C $(RELEASE)

# What an installation gets, with the prefix taken off: programs look for one another and for
# their configuration relative to where they stand.
stage: release
	@tools/make-stage $(RELEASE) $(STAGE) $(PREFIX) $(SYSCONFDIR)

# meson writes a log of what it has installed, which must not be root's in the tree of another user.
install:
	@todo=$$(tools/check-install $(RELEASE) $(PREFIX) $(SYSCONFDIR)) && \
	  if [ "$$todo" = build ]; then $(MAKE) --no-print-directory release; fi
	DESTDIR=$(DESTDIR) meson install -C $(RELEASE) --no-rebuild
	@chown --reference=$(RELEASE) $(RELEASE)/meson-logs/*

$(DEV)/build.ninja:
	meson setup $(DEV) -Db_sanitize=address,undefined -Doptimization=1 -Dfuzz=true

# A tree that was set up by hand may lack the fuzz targets.
dev: $(DEV)/build.ninja
	@meson introspect $(DEV) --buildoptions | \
	  python3 -c 'import json,sys; o={x["name"]:x["value"] for x in json.load(sys.stdin)}; \
	  sys.exit(not o["fuzz"])' || meson configure $(DEV) -Dfuzz=true
	ninja -C $(DEV)

# Only what shares data between threads, under ThreadSanitizer.
THREADS = build/threads
$(THREADS)/build.ninja:
	meson setup $(THREADS) -Db_sanitize=thread -Doptimization=1

threads: $(THREADS)/build.ninja
	ninja -C $(THREADS) tests/async/async_test tests/auth/auth_test tests/journal/journal_test \
	  tests/account/account_test tests/maintenance/maintenance_test

run:
	@tools/install-deps build run
	@$(MAKE) --no-print-directory stage
	@tools/run-suite $(STAGE) $(PORT)

test:
	@tools/install-deps build test
	@tools/install-deps mail || echo "the tests with large mail programs are left out"
	@tools/run-tests all

unit:
	@tools/install-deps build test
	@tools/run-tests unit

check:
	@tools/install-deps build test lint
	@tools/run-tests unit
	@tools/lint

check-crash:
	@tools/install-deps build test
	@RIMS_HARNESSES=1 tools/run-tests harnesses

check-long:
	@tools/install-deps build test
	@RIMS_LONG=1 tools/run-tests harnesses

lint:
	@tools/install-deps build test lint
	@tools/lint

format:
	@tools/install-deps lint
	git ls-files '*.cc' '*.h' '*.c' | xargs clang-format-19 -i

fuzz:
	@tools/install-deps build test
	@RIMS_FUZZ_SEED=0 RIMS_FUZZ_SECONDS=$${RIMS_FUZZ_SECONDS:-600} tools/run-tests fuzz

bench:
	@tools/install-deps build bench
	@$(MAKE) --no-print-directory stage
	@bench/run

clean:
	rm -rf build

.PHONY: all deps release stage install dev threads run test unit check check-crash check-long lint format fuzz bench clean
