# One entry for people and CI. `make help` lists what there is.

CARGO ?= cargo
# Tests, demo and figures live in namespaces of their own, which takes root to make.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E)
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
# Without root the build is the user's; only what is built for these runs through sudo.
ifneq ($(AS_ROOT),)
test soak: export CARGO_TARGET_$(shell echo $(HOST) | tr a-z- A-Z_)_RUNNER := $(AS_ROOT)
endif
# Linked statically: one file for any distribution, and a millisecond less for each start.
RELEASE := $(or $(CARGO_TARGET_DIR),target)/$(HOST)/release
# Its relocations packed, a tenth of a millisecond less again; the C library does it since 2.36.
RELR := $(shell getconf GNU_LIBC_VERSION | awk -F'[ .]' '$$2 > 2 || $$3 >= 36 { print "-C link-arg=-Wl,-z,pack-relative-relocs" }')
STATIC := RUSTFLAGS='-C target-feature=+crt-static $(RELR)' $(CARGO) build --release --target $(HOST)
# Tests wait more than they compute, for processes, timers and the kernel.
TEST_THREADS := $(shell echo $$(($$(nproc) * 2)))
# Where tests say that this kernel lacks what they need.
SKIPS := $(abspath $(or $(CARGO_TARGET_DIR),target))/skips

# Where `make install` puts them; packages have DESTDIR before it.
PREFIX ?= /usr/local
PROGRAMS := pontoon pontoon-sandbox pontoon-names pontoon-cni

.PHONY: build install demo test test-kernels soak lint fmt bench setup clean help
.DEFAULT_GOAL := build

build: ## build pontoon and its CNI plugin, statically linked
	$(STATIC) --package cli --package cni
	@echo built $(addprefix $(RELEASE)/,$(PROGRAMS))

install: build ## copy them to PREFIX/bin (/usr/local/bin), and their units for systemd to PREFIX/lib
	$(AS_ROOT) install -D -t $(DESTDIR)$(PREFIX)/bin $(addprefix $(RELEASE)/,$(PROGRAMS))
	$(AS_ROOT) install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system packaging/*.service
	$(AS_ROOT) sed -i 's|=/usr/bin/|=$(PREFIX)/bin/|' $(addprefix $(DESTDIR)$(PREFIX)/lib/systemd/system/,$(notdir $(wildcard packaging/*.service)))

demo: setup ## two containers and the outside world, then three nodes; everything removed at the end
	$(STATIC) --package cli
	$(AS_ROOT) env PONTOON_BIN_DIR=$(RELEASE) scripts/demo

test: setup ## all tests, on the real kernel, in fresh namespaces
	scripts/setup fastpath
	scripts/doctests
	@rm -f $(SKIPS)
	PONTOON_TEST_SKIPS=$(SKIPS) $(CARGO) nextest run --workspace --test-threads $(TEST_THREADS); status=$$?; \
	if [ -s $(SKIPS) ]; then echo 'skipped on this kernel:'; sort $(SKIPS); fi; exit $$status

test-kernels: ## tests on Debian's kernels, in virtual machines; ARGS=--help tells of arguments
	scripts/setup kernels
	$(CARGO) run --quiet --package kernels -- $(ARGS)

lint: ## formatting, clippy, the house rules, licences, shell scripts
	scripts/setup lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) run --quiet --package tidy
	$(CARGO) deny --workspace --log-level error check licenses bans sources
	shellcheck scripts/* .ci/run

fmt: ## format the Rust files
	$(CARGO) fmt --all

soak: setup ## adds and dels from many processes, some of them killed; twice ten minutes of flows by the fast path
	PONTOON_SOAK=40 $(CARGO) nextest run --profile soak --package cni --test verbs heavy::
	PONTOON_SOAK=120 $(CARGO) nextest run --profile soak --package fastpath --test kernel soak::heavy::
	PONTOON_SOAK=120 $(CARGO) nextest run --profile soak --package cli --test lab fast::heavy::

bench: ## the figures, against other tools (release build, some minutes)
	scripts/setup bench
	$(STATIC) --package cli --package cni --package bench
	$(AS_ROOT) $(RELEASE)/bench --docker $(or $(CARGO_TARGET_DIR),target)/docker

setup:
	@scripts/setup

clean: ## remove what was built
	$(CARGO) clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14
