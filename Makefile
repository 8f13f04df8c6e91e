# Chimaera for people: `make help`. The build goes make -> cmake -> cargo, and never back.

# Everything is built once, optimised, and both cmake and the cargo calls below use this directory.
export CARGO_TARGET_DIR := $(CURDIR)/target
BUILD := build

# What the whole-system tests need to know; tests/system/src/lib.rs says what each is.
TEST_ENVIRONMENT := \
	CHI_TEST_BIN=$(CARGO_TARGET_DIR)/release/chimaera \
	CHI_TEST_MODULES=$(CURDIR)/$(BUILD)/modules \
	CHI_TEST_RUST_MODULES=$(CARGO_TARGET_DIR)/release \
	CHI_TEST_FAULT_MODULES=$(CURDIR)/$(BUILD)/test_modules \
	CHI_TEST_PROGRAMS=$(CURDIR)/$(BUILD)/tests/cpp

# The tools below use all cores by themselves; `make -j` need not, and must not, start two at once.
.NOTPARALLEL:
unexport MAKEFLAGS MFLAGS
.DEFAULT_GOAL := help
.PHONY: help setup configure build headers check-headers check-format lint test loom fuzz soak demo bench install clean

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: ## Install what the build needs, or print the command that does
	@tools/setup

configure: setup
	@cmake --log-level=NOTICE -S . -B $(BUILD) -G Ninja

build: configure ## Build everything, optimised, into build/ and target/
	@cmake --build $(BUILD)

headers: ## Refresh include/chimaera/abi.h and its parts from src/abi and src/client/c
	CHI_REFRESH_HEADERS=1 $(HEADERS_TEST)

check-headers: ## Fail when abi.h or a part of it is stale, or a function lacks its facts
	$(HEADERS_TEST)

HEADERS_TEST := cargo test --release -q --no-default-features --features headers --test headers

check-format: ## Check the format of all sources
	@tools/lint --format

lint: check-headers ## Check format, lints and generated headers
	@tools/lint

test: build lint ## Run everything that CI runs
	@tools/setup --tests
	@failed=0; \
	$(TEST_ENVIRONMENT) cargo test --release --workspace --no-fail-fast || failed=1; \
	ctest --test-dir $(BUILD) --output-on-failure || failed=1; \
	exit $$failed

loom: ## Check the lock-free parts under every order of events (loom)
	RUSTFLAGS="--cfg loom" cargo test --release --target-dir target/loom \
		-p chimaera-ipc -p chimaera-runtime --lib loom_

FUZZERS := wire elf task repo config archive

fuzz: ## Run each fuzzer for a minute (a nightly toolchain and cargo-fuzz needed)
	for fuzzer in $(FUZZERS); do \
		(cd fuzz && cargo +nightly fuzz run --target-dir target $$fuzzer -- -max_total_time=60) || exit 1; \
	done

soak: build ## Run the whole-system tests with many more repetitions than `make test` (CHI_SOAK)
	CHI_SOAK=1 $(TEST_ENVIRONMENT) cargo test --release -p chimaera-tests -- --include-ignored

demo: configure ## See it work, on every file under DIR=path (default: this project's sources)
	@cmake --build $(BUILD) --target demo
	@demo/run "$${DIR:-}"

BENCH := target/release/chimaera bench
BENCH_MODULES := --modules $(BUILD)/modules

bench: build ## Measure tasks and subtasks, scaling, fairness, devices, start, idling, scanning, ...
	$(BENCH) latency $(BENCH_MODULES)
	$(BENCH) throughput $(BENCH_MODULES)
	$(BENCH) subtask $(BENCH_MODULES)
	$(BENCH) lanes $(BENCH_MODULES)
	$(BENCH) scale $(BENCH_MODULES)
	$(BENCH) fairness $(BENCH_MODULES)
	$(BENCH) bdev $(BENCH_MODULES)
	$(BENCH) bdev $(BENCH_MODULES) --block-size 1MiB
	benches/footprint.py target/release/chimaera $(BUILD)/modules
	benches/scan.py target/release/chimaera $(BUILD)/modules
	benches/repo_refresh.py target/release/chimaera
	benches/instructions.py target/release/chimaera $(BUILD)/modules --against benches/reference.json
	benches/bdev.py target/release/chimaera $(BUILD)/modules

PREFIX ?= /usr/local

install: build ## Install under PREFIX (default: /usr/local); DESTDIR works
	cmake --install $(BUILD) --prefix $(PREFIX)

clean: ## Remove everything that was built
	rm -rf $(BUILD) target
