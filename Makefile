# Two commands do everything: `make demo` shows abanico, `make test` tests it. Both install what they need: Debian's
# packages from scripts/packages.txt, the rest from the registries of Rust, Python and Node.js.

SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(HOME)/.cargo/bin:$(PATH)

# Cargo's folder; CARGO_TARGET_DIR moves it, for a build cache outside of the checkout.
TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := .venv
PYTHON := $(VENV)/bin/python
# The client with AWS's SDK for Rust has its own workspace, lock file and target folder.
RUST_CLIENT := --manifest-path tests/e2e/rust_client/Cargo.toml --target-dir $(TARGET)/rust-client
VIDEO ?=
ARCH ?= x86_64
# These limit what `make unit` and `make e2e` run: a crate and the name of a test, or a pytest selection.
CRATE ?=
TEST ?=
# These say how hard `make attack` and `make fuzz` try: kills, seconds per fuzzer, connections, and the seed of all chance.
KILLS ?= 500
SECONDS ?= 600
STRANGERS ?= 2000
SEED ?= $(shell date +%s)
FUZZER ?=

.PHONY: help setup setup-test build-debug rust-client demo fleet-demo test unit e2e e2e-needs report functions check codegen goldens style docs bench quality table films clean clients node attack fuzz

help: ## Show this help
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:
	@scripts/install_packages demo
	@scripts/need_cargo

setup-test:
	@scripts/install_packages demo test
	@scripts/need_cargo
	@scripts/need_room 8

demo: setup ## Upload a video (VIDEO=path) to a server, transcode it, and leave the renditions in abanico-demo/
	@scripts/need_room 3
	@scripts/step "building abanico, once" "4 minutes on two cores" cargo build --locked --release -p abanico-cli
	@$(TARGET)/release/abanico demo $(if $(VIDEO),"$(VIDEO)")

fleet-demo: setup $(VENV)/ready ## Encode a film (VIDEO=path) with three workers on Temporal, and kill one of them on the way
	@scripts/need_room 4
	@scripts/step "building abanico with the fleet, once" "8 minutes on two cores" \
	 cargo build --locked --release -p abanico-cli --features fleet --target-dir $(TARGET)/fleet
	@ABANICO_BIN="$(abspath $(TARGET))/fleet/release/abanico" $(PYTHON) scripts/fleet_demo $(if $(VIDEO),"$(VIDEO)")

test: setup-test ## Install what the tests need and run all of them
	@rm -rf $(TARGET)/test-report; mkdir -p $(TARGET)
	@echo "==> beside the Rust tests, building what the end-to-end tests need: $(TARGET)/e2e-needs.log" >&2
	@status=0; $(MAKE) --no-print-directory e2e-needs >$(TARGET)/e2e-needs.log 2>&1 & needs=$$!; \
	 $(MAKE) --no-print-directory unit || status=1; \
	 wait $$needs || { tail -n 50 $(TARGET)/e2e-needs.log >&2; status=1; }; \
	 $(MAKE) --no-print-directory e2e || status=1; \
	 scripts/test_report $(if $(FORBID_SKIPS),--forbid-skips) || status=1; exit $$status

unit: setup-test ## Run the Rust tests (CRATE=abanico-plan and TEST=name select some)
	@scripts/step "building and running the Rust tests" "6 minutes" scripts/unit_tests $(if $(CRATE),--package $(CRATE)) -- $(TEST)

build-debug: setup-test
	@scripts/step "building abanico for the tests" "4 minutes, less after \`make unit\`" scripts/build_debug

rust-client: setup-test
	@scripts/step "building the client with AWS's SDK for Rust" "2 minutes" cargo build --locked --quiet $(RUST_CLIENT)

# All but the program itself, whose build would wait for that of the Rust tests.
e2e-needs: rust-client functions $(VENV)/ready node

e2e: build-debug e2e-needs ## Run the tests with real clients: SDKs, AWS CLI, browser, AWS emulator (TEST=file::name selects some)
	@echo "==> running the end-to-end tests (about 15 minutes)" >&2
	@PATH="$(abspath $(VENV))/bin:$$PATH" ABANICO_BIN="$(abspath $(TARGET))/debug/abanico" \
	 $(PYTHON) -m pytest -q -rs $(if $(TEST),$(addprefix tests/e2e/,$(TEST)),-n 3 --dist loadfile tests/e2e)

attack: build-debug $(VENV)/ready ## Damage every file, kill at random moments, crowd the server, fuzz its parsers: hours (KILLS=500 SECONDS=600 SEED=n)
	@scripts/need_room 8
	@echo "==> attacking with SEED=$(SEED) KILLS=$(KILLS) SECONDS=$(SECONDS) STRANGERS=$(STRANGERS)" >&2
	@status=0; PATH="$(abspath $(VENV))/bin:$$PATH" ABANICO_BIN="$(abspath $(TARGET))/debug/abanico" ABANICO_DAMAGE=all \
	 ABANICO_KILLS=$(KILLS) ABANICO_SEED=$(SEED) ABANICO_STRANGERS=$(STRANGERS) $(PYTHON) -m pytest -rA --no-header \
	 $(addprefix tests/e2e/,$(or $(TEST),test_damage.py test_kills.py test_doors.py)) || status=1; \
	 $(MAKE) --no-print-directory fuzz || status=1; exit $$status

fuzz: setup ## Run each fuzzer for SECONDS (600) and fail if one finds something (FUZZER=captions selects one)
	@scripts/fuzz $(SECONDS) $(FUZZER)

functions: setup-test ## Build the AWS Lambda functions into deploy/dist (ARCH=arm64 for Graviton)
	@scripts/step "building the Lambda functions" "3 minutes" scripts/build_functions --arch $(ARCH)
	@scripts/check_functions

$(VENV)/ready: tests/requirements.txt tests/temporal-requirements.txt
	@scripts/install_packages test
	@scripts/step "installing the tests' Python packages, Node.js and Temporal" "a minute" scripts/make_venv $(VENV) $^
	@touch $@

check: setup ## Check formatting, lints, documentation (warnings are errors) and dependencies
	@scripts/need_cargo fmt clippy
	cargo fmt --all --check
	cargo fmt --manifest-path tests/e2e/rust_client/Cargo.toml --check -- --config-path .
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	cargo clippy --locked $(RUST_CLIENT) -- -D warnings
	cargo check --locked --manifest-path fuzz/Cargo.toml --target-dir "$(TARGET)"
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
	python3 scripts/check_crate_order.py
	scripts/check_dependencies

node: $(VENV)/ready
	@PATH="$(abspath $(VENV))/bin:$$PATH" scripts/step "installing the tests' JavaScript packages" "half a minute" \
	 scripts/install_node_packages deploy tests/e2e/javascript

codegen: setup ## Regenerate the code from the extract of AWS's model
	cargo run -p abanico-codegen

goldens: setup ## Rewrite the tests' snapshots and docs/SETTINGS.md
	INSTA_UPDATE=always scripts/unit_tests

style: ## Measure the code style, if the tool for it is available
	@if [ -f ../shared/tools/style_metrics.py ]; then python3 ../shared/tools/style_metrics.py --check . ; \
	 else echo "style: skipped, because the measuring tool is not available"; fi

docs: setup ## Build the API documentation
	cargo doc --workspace --no-deps

RUN_BENCH = ABANICO_BIN="$(abspath $(TARGET))/release/abanico" $(PYTHON)

bench: quality ## Run all benchmarks: against ffmpeg, scaling, API, S3 against SeaweedFS (reports in bench/report)
	$(RUN_BENCH) bench/end_to_end.py $(if $(VIDEO),"$(VIDEO)")
	$(RUN_BENCH) bench/scaling.py $(if $(VIDEO),"$(VIDEO)")
	$(RUN_BENCH) bench/service.py

quality: setup $(VENV)/ready ## Compare three renditions with hand-typed ffmpeg commands: CPU, bytes, VMAF (VIDEO=path; report in bench/report)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	cargo build --release -p abanico-cli
	$(RUN_BENCH) bench/side_by_side.py $(if $(VIDEO),"$(VIDEO)")

table: build-debug $(VENV)/ready ## Write docs/MEDIA_RESULTS.md from real files
	ABANICO_BIN="$(abspath $(TARGET))/debug/abanico" $(PYTHON) scripts/media_table

films: build-debug $(VENV)/ready ## Make films of many conditions, judge what is made of them, and write docs/FILM_RESULTS.md
	@echo "==> making, transcoding and judging films (about 8 minutes)" >&2
	@ABANICO_BIN="$(abspath $(TARGET))/debug/abanico" $(PYTHON) scripts/film_table

clients: build-debug $(VENV)/ready ## Try public S3 clients and write docs/CLIENTS.md
	@scripts/install_packages clients
	@scripts/step "installing the clients" "a minute" scripts/make_venv .venv-clients tests/clients/requirements.txt
	@ABANICO_BIN="$(abspath $(TARGET))/debug/abanico" ABANICO_TEST_TOOLS="$(abspath $(VENV))/bin" .venv-clients/bin/python scripts/client_table

clean: ## Remove everything that was built
	cargo clean
	rm -rf $(VENV) .venv-functions .venv-check .venv-clients .venv-fuzz deploy/dist
