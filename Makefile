# Entry points for developers: `make help`. The build goes make -> cmake -> cargo, never the other
# way.

# Everything is built once, optimised; cmake and the cargo calls below share this directory.
export CARGO_TARGET_DIR := $(CURDIR)/target
BUILD := build

# The environment of the whole-system tests; tests/system/src/lib.rs describes each variable.
TEST_ENVIRONMENT := \
	CHI_TEST_BIN=$(CARGO_TARGET_DIR)/release/chimaera \
	CHI_TEST_MODULES=$(CURDIR)/$(BUILD)/modules \
	CHI_TEST_RUST_MODULES=$(CARGO_TARGET_DIR)/release \
	CHI_TEST_FAULT_MODULES=$(CURDIR)/$(BUILD)/fixtures \
	CHI_TEST_REPO_MODULES=$(CURDIR)/$(BUILD)/tests/repo/modules \
	CHI_TEST_PROGRAMS=$(CURDIR)/$(BUILD)/tests/cpp

# The tools below use all cores themselves, so `make -j` must not start two at once.
.NOTPARALLEL:
unexport MAKEFLAGS MFLAGS
.DEFAULT_GOAL := help
.PHONY: help setup configure build headers check-headers check-format lint test test-unit test-system \
	test-cmake test-docs test-tools test-long test-full test-sanitized test-rust-sanitized deny docs loom fuzz soak \
	soak-short demo demo-cluster bench bench-quick bench-plot install clean

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

check-headers: ## Fail when abi.h or a part of it is stale, or a function is not fully documented
	$(HEADERS_TEST)

HEADERS_TEST := cargo test --release -q --no-default-features --features headers --test headers

check-format: ## Check the format of all sources
	@tools/lint --format

lint: check-headers ## Check format, lints and generated headers
	@tools/lint

# The test suites. T=name runs only the tests whose names contain `name`; for test-system, T=file
# also runs all of tests/system/tests/file.rs.
#
# Cargo always gets the whole workspace: another set of packages would mean other features, and
# everything below the tests would be rebuilt for it.
ifeq ($(origin T),environment)
undefine T
endif
CARGO_TEST := $(TEST_ENVIRONMENT) cargo test --release --no-fail-fast --workspace
CTEST := ctest --test-dir $(BUILD) --output-on-failure --no-tests=error
SYSTEM_FILES := $(patsubst tests/system/tests/%.rs,%,$(wildcard tests/system/tests/*.rs))

# These take minutes: without T, `make test-full` runs them.
LONG_FILES := cluster_faults cluster_joins cluster_networks

# The test files for T: the one of this name, else those with matching tests.
FILES = $(if $(T),$(or $(filter $(T),$(SYSTEM_FILES)),$(FILES_WITH_TEST)),$(filter-out $(LONG_FILES),$(SYSTEM_FILES)))
FILES_WITH_TEST = $(patsubst tests/system/tests/%.rs,%,$(shell \
	grep -l 'fn [a-z0-9_]*$(T)' tests/system/tests/*.rs))

# Cargo accepts a name that matches no test. Here, a test's name includes the file's.
UNIT_ROOMS := src rust_chimods cpp_chimods demo docs/examples tests/*.rs tests/fixtures tests/repo
UNIT_MATCHES = $(if $(T),$(firstword $(shell \
	grep -rlE --include='*.rs' 'fn [a-z0-9_]*$(lastword $(subst ::, ,$(T)))' $(UNIT_ROOMS); \
	find $(UNIT_ROOMS) -path '*$(firstword $(subst ::, ,$(T)))*' -name '*.rs')),all)

UNIT = $(CARGO_TEST) --exclude chimaera-tests $(T)
SYSTEM = $(CARGO_TEST) $(addprefix --test ,$(FILES)) $(filter-out $(SYSTEM_FILES),$(T))
CMAKE = $(CTEST) -LE docs $(if $(T),-R $(T))
SHORT_CMAKE = $(CTEST) -LE '^(docs|long)$$'
DOCS = $(CTEST) -L docs $(if $(T),-R $(T))

test: test-tools build lint ## Run everything that a change must pass: lint and the four suites below
	@failed=; \
	$(UNIT) || failed="$$failed unit"; \
	$(SYSTEM) || failed="$$failed system"; \
	$(SHORT_CMAKE) || failed="$$failed cmake"; \
	$(DOCS) || failed="$$failed docs"; \
	for suite in $$failed; do echo "make test: make test-$$suite failed" >&2; done; \
	[ -z "$$failed" ]

test-unit: build ## Run the tests of the Rust crates (T=name: those alone)
	@$(if $(UNIT_MATCHES),$(UNIT),echo "no test of the Rust crates matches '$(T)'" >&2; exit 1)

test-system: test-tools build ## Run the tests with real daemons and clients (T=name or T=file: those alone)
	@$(if $(FILES),$(SYSTEM),echo "no test in tests/system/tests matches '$(T)'" >&2; exit 1)

test-cmake: build test-tools ## Run the tests of C and C++, of the package and of new modules (T=name: those alone)
	@$(CMAKE)

test-docs: build test-tools ## Build and run the examples of the documents; check listings and links (T=name: those alone)
	@$(DOCS)

test-tools:
	@tools/setup --tests

test-full: test-long loom test-sanitized test-rust-sanitized deny docs soak-short ## Run longer tests: package, loom models, sanitizers, dependencies, the site, a short soak

test-long: build test-tools
	@$(CTEST) -L '^long$$'
	@CHI_SEEDS=2000 $(SIMULATION)

docs: ## Build the documents as a site that can be searched, in build/site/html, and check its links
	@tools/site $(BUILD)/site

deny: ## Check licences, sources and advisories of the dependencies (builds cargo-deny if there is none)
	@tools/deny

# Modules in C++ run in a host of their own there: not every sanitizer bears the runtime's stacks.
SANITIZED := cpp_layout cpp_module_contract cpp_serial cpp_shared_library
# The client programs run against a real daemon, driven by these tests.
SANITIZED_CLIENTS := cpp_bdev cpp_client cpp_containers cpp_edges cpp_model \
	c_bdev c_client c_containers c_fork_client c_model
SANITIZED_TESTS := bdev calls containers params stored task_properties
# Here, clients also fork, end in other ways than by returning from main, and run out of descriptors:
# not every block is free at their ends, nor can all be looked for.
SANITIZED_ENDS := edges fork
SANITIZERS := UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

test-sanitized: build ## Run the C++ layer and client programs with address and undefined-behaviour sanitizers
	@cmake --log-level=NOTICE -S . -B $(BUILD)/sanitized -G Ninja -DCHIMAERA_SANITIZE=address,undefined
	@cmake --build $(BUILD)/sanitized --target $(SANITIZED) $(SANITIZED_CLIENTS)
	@$(SANITIZERS) ctest --test-dir $(BUILD)/sanitized \
		--output-on-failure --no-tests=error -R '^($(subst $() ,|,$(SANITIZED)))$$'
	@export $(SANITIZERS); $(CARGO_SANITIZED) $(addprefix --test ,$(SANITIZED_TESTS))
	@export $(SANITIZERS) ASAN_OPTIONS=detect_leaks=0; \
		$(CARGO_SANITIZED) $(addprefix --test ,$(SANITIZED_ENDS))

CARGO_SANITIZED = $(subst $(BUILD)/tests/cpp,$(BUILD)/sanitized/tests/cpp,$(CARGO_TEST))

# Left out are tests that look at the objects of the process, which a sanitizer changes, and one of a fault that
# it reports in its own way. The budgets of tests live for ever.
NOT_SANITIZED := objects_have_names_and_link_others \
	addresses_have_their_owners a_fault_anywhere_else_still_kills

test-rust-sanitized: ## Run the unit tests of the Rust crates with unsafe code with the address sanitizer (a nightly toolchain needed)
	@if ! cargo +nightly --version >/dev/null 2>&1; then \
		echo "test-rust-sanitized: skipped, because there is no nightly toolchain" >&2; exit 0; \
	fi; \
	RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_leaks=0 cargo +nightly test --quiet \
		--target "$$(rustc -vV | sed -n 's/^host: //p')" --target-dir target/sanitized --lib --tests \
		-p chimaera-ipc -p chimaera-task -p chimaera-module -p chimaera-runtime \
		-- $(addprefix --skip ,$(NOT_SANITIZED))

loom: ## Check the lock-free parts under every interleaving (loom)
	RUSTFLAGS="--cfg loom" cargo test --release --target-dir target/loom \
		-p chimaera-ipc -p chimaera-runtime --lib loom_

FUZZERS := wire elf task repo config archive saved parcel message

fuzz: ## Run each fuzzer for a minute (a nightly toolchain and cargo-fuzz needed)
	for fuzzer in $(FUZZERS); do \
		(cd fuzz && cargo +nightly fuzz run --target-dir target $$fuzzer -- -max_total_time=60) || exit 1; \
	done

# A simulated cluster, by seeds: docs/cluster-design.md.
SIMULATION = $(UNIT) a_cluster_keeps_its_promises

soak: build ## Kill, attack and repeat for an hour (MINUTES=n: for n minutes), with one report; then simulate clusters as long
	@$(TEST_ENVIRONMENT) tools/soak $(MINUTES) $(BUILD)/soak cargo test --release --workspace
	@CHI_MINUTES=$(MINUTES) CHI_FIRST_SEED=$$(date +%s)000 $(SIMULATION)

MINUTES ?= 60

# CHI_SOAK scales the repetitions of a test, in percent.
soak-short: build
	CHI_SOAK=20 $(CARGO_TEST) $(addprefix --test ,$(SYSTEM_FILES))

demo: configure ## Run the demo on every file under DIR=path (default: this project's sources)
	@cmake --build $(BUILD) --target demo
	@demo/run "$${DIR:-}"

demo-cluster: configure ## Run jobs over three daemons that are a cluster, drain one, and kill another
	@cmake --build $(BUILD) --target demo
	@demo/cluster

BENCH := target/release/chimaera bench
BENCH_MODULES := --modules $(BUILD)/modules

define PEERS
	cargo run --release --quiet --manifest-path benches/peers/Cargo.toml --target-dir target/peers -- \
		--program target/release/chimaera --modules $(BUILD)/modules --json target/peers.json $(1)
endef

bench-quick: build ## Measure round trips and a store beside other software, in a minute
	$(call PEERS,--quick)

bench-plot: build ## The same for longer, with the plots of docs/images
	$(call PEERS)
	benches/plot.py target/peers.json docs/images

bench: build ## Measure all: beside other software, scaling, fairness, devices, start, deaths, scanning, ...
	$(call PEERS)
	$(BENCH) latency $(BENCH_MODULES)
	$(BENCH) throughput $(BENCH_MODULES)
	$(BENCH) subtask $(BENCH_MODULES)
	$(BENCH) lanes $(BENCH_MODULES)
	$(BENCH) sessions $(BENCH_MODULES)
	$(BENCH) scale $(BENCH_MODULES)
	$(BENCH) fairness $(BENCH_MODULES)
	$(BENCH) hosts $(BENCH_MODULES)
	$(BENCH) remote $(BENCH_MODULES)
	$(BENCH) bdev $(BENCH_MODULES)
	$(BENCH) bdev $(BENCH_MODULES) --block-size 1MiB
	benches/footprint.py target/release/chimaera $(BUILD)/modules
	benches/death.py target/release/chimaera $(BUILD)/modules $(BUILD)/tests/cpp/cpp_edges
	benches/scan.py target/release/chimaera $(BUILD)/modules
	benches/repo_refresh.py target/release/chimaera
	benches/instructions.py target/release/chimaera $(BUILD)/modules --against benches/reference.json
	benches/bdev.py target/release/chimaera $(BUILD)/modules
	cargo run --release -p chimaera-kv-bench -- $(BUILD)/modules
	cargo build --release -p chimaera-tests --bin chi-test-load
	benches/upgrade.py target/release/chimaera $(BUILD)/fixtures target/release/chi-test-load

PREFIX ?= /usr/local

install: build ## Install under PREFIX (default: /usr/local); DESTDIR works
	cmake --install $(BUILD) --prefix $(PREFIX)

clean: ## Remove everything that was built
	rm -rf $(BUILD) target
