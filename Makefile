# abanico. Two commands do everything: `make demo` shows it, `make test` tests it.
# What the system must have stands in scripts/packages.txt and is installed when missing.

SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(HOME)/.cargo/bin:$(PATH)

# Cargo's folder; CARGO_TARGET_DIR moves it, for a build cache outside of the checkout.
TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := .venv
# The client with AWS's SDK for Rust has its own workspace, lock file and place for what is built of it.
RUST_CLIENT := --manifest-path tests/e2e/rust_client/Cargo.toml --target-dir $(TARGET)/rust-client
VIDEO ?=
ARCH ?= x86_64

.PHONY: node help setup demo test unit e2e functions check codegen goldens style docs bench quality table clean

help: ## Show this help
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:
	@scripts/install_packages
	@scripts/need_cargo

demo: setup ## Serve, upload a video (VIDEO=path), transcode it, show the outputs
	cargo build --release -p abanico-cli
	$(TARGET)/release/abanico demo $(if $(VIDEO),"$(VIDEO)")

test: unit e2e ## Install what the tests need and run all of them

unit: setup ## Rust tests
	cargo test --workspace --features abanico-store/conformance

e2e: setup functions $(VENV)/ready node ## Tests by real clients: boto3, the AWS CLI, the SDKs for JavaScript and Rust, ffprobe, an AWS emulator
	cargo build -p abanico-cli
	cargo build --locked $(RUST_CLIENT)
	ABANICO_BIN="$(abspath $(TARGET))/debug/abanico" $(VENV)/bin/python -m pytest -q tests/e2e

functions: setup ## Build the AWS Lambda functions into deploy/dist (ARCH=arm64 for Graviton)
	@scripts/need_cargo
	scripts/build_functions --arch $(ARCH)
	scripts/check_functions

$(VENV)/ready: tests/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

check: setup ## Format, lints and docs, warnings denied
	@scripts/need_cargo fmt clippy
	cargo fmt --all --check
	cargo fmt --manifest-path tests/e2e/rust_client/Cargo.toml --check -- --config-path .
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	cargo clippy --locked $(RUST_CLIENT) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	python3 scripts/check_crate_order.py

node:
	@scripts/install_node_packages deploy tests/e2e/javascript

codegen: setup ## Write the generated code anew from the extract of AWS's model
	cargo run -p abanico-codegen

goldens: setup ## Rewrite the snapshots of tests
	INSTA_UPDATE=always cargo test --workspace --features abanico-store/conformance

style: ## Measure the style, where the tool for it is there
	@if [ -f ../shared/tools/style_metrics.py ]; then python3 ../shared/tools/style_metrics.py --check . ; \
	 else echo "style: the measuring tool is not here, skipped"; fi

docs: setup ## Build the API documentation
	cargo doc --workspace --no-deps

RUN_BENCH = ABANICO_BIN="$(abspath $(TARGET))/release/abanico" $(VENV)/bin/python

bench: quality ## Measure everything, in bench/report: beside ffmpeg, growing with processors, API, S3 beside SeaweedFS
	$(RUN_BENCH) bench/end_to_end.py $(if $(VIDEO),"$(VIDEO)")
	$(RUN_BENCH) bench/scaling.py $(if $(VIDEO),"$(VIDEO)")
	$(RUN_BENCH) bench/service.py

quality: setup $(VENV)/ready ## Compare three rungs with ffmpeg as people type it: CPU, bytes, VMAF, in bench/report (VIDEO=…)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	cargo build --release -p abanico-cli
	$(RUN_BENCH) bench/side_by_side.py $(if $(VIDEO),"$(VIDEO)")

table: setup $(VENV)/ready ## Write docs/MEDIA_RESULTS.md from real files
	cargo build -p abanico-cli
	ABANICO_BIN="$(abspath $(TARGET))/debug/abanico" $(VENV)/bin/python scripts/media_table

clean: ## Remove what was built
	cargo clean
	rm -rf $(VENV) .venv-functions deploy/dist
