# On top of CMake, for people on a fresh machine. `make help` lists the targets.
PREFIX ?= /usr/local
PRESET ?= release
BUILD = build/$(PRESET)
WERROR = $(if $(CI),ON,OFF)

help:
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

demo: setup-build programs ## install what is missing, build, crash a daemon, show its delivered report
	@tests/e2e/demo.sh $(BUILD)

test: setup-test build ## install what is missing, build, run every test
	@ctest --preset $(PRESET)

build: ## build everything (PRESET=debug|release|asan|tsan|coverage|fuzz)
	@cmake --preset $(PRESET) -DKNELL_TESTS=ON -DKNELL_WERROR=$(WERROR) >/dev/null
	@cmake --build --preset $(PRESET)

install: programs ## install under PREFIX (default /usr/local)
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD) --prefix $(PREFIX) >/dev/null
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || PATH="$$PATH:/sbin" ldconfig # else nothing finds libknell.so

check: ## formatting, and the tests that take seconds
	@git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror
	@$(MAKE) --no-print-directory build PRESET=debug
	@ctest --preset debug -L 'check|unit'

bench: build ## run every benchmark, one figure per line
	@for b in $(BUILD)/tests/bench/bench_*; do case $$b in *.*) ;; *) [ -x $$b ] && [ ! -d $$b ] && $$b ;; esac; done; true

fuzz: ## fuzz each parser for SECONDS_EACH (default 60) seconds
	@cmake --workflow --preset fuzz >/dev/null
	@tests/fuzz/run.sh build/fuzz $${SECONDS_EACH:-60}

format: ## rewrite C files in the house format
	@git ls-files '*.c' '*.h' | xargs clang-format -i

programs:
	@cmake --preset $(PRESET) -DKNELL_TESTS=OFF -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --build --preset $(PRESET)

setup-build:
	@.ci/setup build

setup-test:
	@.ci/setup test

.PHONY: help demo test build install check bench fuzz format programs setup-build setup-test
