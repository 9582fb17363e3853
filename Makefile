# The habits of this project. `make help` lists them; CI runs the same targets.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

CARGO ?= cargo
FUZZ_SECONDS ?= 60

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## System packages that building and testing need (asks the package manager only for what is missing)
	@tests/tools/packages.sh

.PHONY: build
build: setup ## All programs, unoptimised
	$(CARGO) build --locked --workspace --bins

.PHONY: test
test: build ## All tests; servers of other people are fetched into target/tools
	$(CARGO) test --locked --workspace --all-features

.PHONY: kernel
kernel: ## The enclave's kernel, from Debian's pinned source, into build/kernel
	@tests/vm/packages.sh kernel
	@image/kernel/build.sh

.PHONY: eif
eif: setup $(if $(KERNEL),,kernel) ## The enclave image of CONFIG=enclave.toml, into build; KERNEL=bzImage for another kernel
	@image/build.sh

.PHONY: eif-nitro-cli
eif-nitro-cli: ## The same program as a container image of CONFIG, made into an image by nitro-cli
	@image/nitro-cli.sh

.PHONY: test-eif
test-eif: build kernel ## Two builds of the image in different folders and cargo homes: the same bytes
	@tests/vm/reproducible.sh

.PHONY: test-container
test-container: setup ## Dockerfile.enclave with buildah, as root: the same program, to the byte
	@tests/vm/container.sh

.PHONY: test-vm
test-vm: build kernel ## The image booted in QEMU, with an emulated NSM: attestation, keys, sweeps, restarts
	@tests/vm/packages.sh
	@CARGO='$(CARGO)' tests/vm/run.sh

.PHONY: demo
demo: build ## The whole way on one machine, and its audit as a page: target/audit.html
	target/debug/cofferdam dev --demo --page target/audit.html

.PHONY: examples
examples: build ## Every script of examples/, against a stack of its own
	examples/run-all.sh

.PHONY: packages
packages: ## The libraries as they would be published: each is packed, nothing is sent
	$(CARGO) publish --locked --workspace --dry-run --no-verify

.PHONY: bench
bench: setup ## Speed, as ratios to the raw cryptography of the same run; freezes under floods; audits
	$(CARGO) build --locked --release --workspace --bins
	$(CARGO) bench --locked -p cofferdam-tests
	$(CARGO) bench --locked -p cofferdam-kms-policies

.PHONY: nightly
nightly: ## What takes too long for every change: fuzzing, benches, the container image
	@tests/tools/nightly.sh

.PHONY: fuzz
fuzz: setup ## Every fuzz target for FUZZ_SECONDS (60); needs a nightly toolchain
	@tests/tools/fuzz.sh $(FUZZ_SECONDS)

.PHONY: trusted-base
trusted-base: ## The crates inside the enclave, and how many
	@$(CARGO) tree --locked -p enclave-app --edges normal --target x86_64-unknown-linux-gnu
	@printf '%s crates inside the enclave\n' "$$($(CARGO) tree --locked -p enclave-app --edges normal --prefix none \
	    --target x86_64-unknown-linux-gnu | sed 's/ (\*)//; s/ (proc-macro)//' | sort -u | wc -l)"

.PHONY: fmt
fmt: ## Formats the code
	$(CARGO) fmt --all

.PHONY: ratchet
ratchet: ## Sizes, circles of files, names and messages, each with its limit in tests/tools/ratchet.toml
	@CARGO='$(CARGO)' tests/tools/ratchet.py

.PHONY: doc
doc: ## The pages of rustdoc, into target/doc; a link that leads nowhere is an error
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --all-features --document-private-items

.PHONY: lint
lint: setup ratchet ## Formatting, the ratchet, clippy, rustdoc, licences and advisories
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings
	$(CARGO) clippy --locked --workspace --test vm --all-features -- -D warnings
	@$(MAKE) --no-print-directory doc
	@tests/tools/deny.sh
	@tests/tools/deploy.sh
