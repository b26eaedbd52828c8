# The front door; Meson does the work.
export CC ?= clang-19
export CXX ?= clang++-19
ifeq ($(origin CC),default)
CC := clang-19
endif
ifeq ($(origin CXX),default)
CXX := clang++-19
endif

all: build/release/build.ninja
	ninja -C build/release

build/release/build.ninja:
	meson setup build/release --buildtype=release

build/dev/build.ninja:
	meson setup build/dev -Db_sanitize=address,undefined -Doptimization=1

dev: build/dev/build.ninja
	ninja -C build/dev

unit: dev
	meson test -C build/dev --suite unit --no-rebuild --print-errorlogs

.PHONY: all dev unit
