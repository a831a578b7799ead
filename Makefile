# facesr: `make demo` and `make test` do all the set-up they need; `make` lists the rest.

export CARGO_TARGET_DIR ?= $(CURDIR)/target

.DEFAULT_GOAL := help
.PHONY: train-test help setup setup-tests build install uninstall deb debian-check arm64-check publish-check demo check test faults bench live ray-test whep-check \
    gpu-check lint fmt leaks supply soak serve-soak asan fuzz train-setup weights clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## install and fetch what is missing (Debian packages, ONNX Runtime, models, clips, crates)
	@scripts/setup.sh

setup-tests: ## set-up, and what only tests need: Chromium, Xvfb, xdotool, FFmpeg
	@scripts/setup.sh --tests

build: setup ## build the command and the GStreamer plugin into target/release and target/gst
	@scripts/build.sh

install: ## install command and plugin (after `make build`; PREFIX, DESTDIR, PLUGIN_DIR)
	@scripts/install.sh

uninstall: ## take away what `make install` put there
	@scripts/install.sh --remove

deb: build ## make a Debian package, out/facesr_*.deb (ARCH=arm64: for arm64, cross-compiled)
	@scripts/deb.sh

debian-check: ## install and use that package in a fresh SUITE=bookworm or trixie, run the plugin's tests there (as root)
	@scripts/debian-check.sh $(or $(SUITE),bookworm)

arm64-check: ## use that package for arm64 under QEMU, held against this machine (as root; after `make deb ARCH=arm64`)
	@scripts/arm64-check.sh

publish-check: setup ## pack the crates of engine and plugin and build each from its package; nothing is sent
	@scripts/publish-check.sh

demo: build ## sharpen the face in a real clip: video and before/after pictures in out/demo
	@scripts/demo.sh

check: setup ## format, clippy and unit tests, after each change
	@scripts/check.sh

test: ## everything that has to pass; sets up, builds, ends with a count
	@scripts/test.sh

faults: build ## the fault cases of tests/faults (ARGS=NAME for some; needs FFmpeg)
	@scripts/faults.sh $(ARGS)

train-test: ## clippy and tests of the trainer (fetches and binds libtorch: many minutes)
	@scripts/train-test.sh

ray-test: build ## run an archive on a Ray cluster of two nodes and kill one (fetches Ray)
	@scripts/ray-test.sh

whep-check: setup ## live pictures by WHEP in a browser (builds the plugin of whepserversink: many minutes)
	@scripts/whep-check.sh

bench: build ## time the pieces and the whole; prints the README's table
	@scripts/bench.sh

live: setup ## five minutes each of an RTP and an RTSP camera, 1080p, the generator slow in the middle
	@scripts/live.sh

gpu-check: setup ## hold an NVIDIA GPU against the CPU and measure it; without one, pack the kit for it
	@scripts/gpu-check.sh $(ARGS)

lint: setup ## format and clippy, warnings refused
	@scripts/lint.sh

fmt: ## format the Rust code
	@cargo fmt --all

leaks: build ## run the elements under GStreamer's leak tracer
	@scripts/leaks.sh

supply: build ## what is fetched is checked by hash; what was built needs no network
	@scripts/supply.sh

soak: setup ## a million frames and 200 starts: memory, threads and files must not grow
	@scripts/soak.sh

serve-soak: setup ## the delay that `facesr serve` adds; ten minutes of four cameras, every fault by turns (ARGS=SECONDS)
	@scripts/serve-soak.sh $(ARGS)

asan: build ## tests of the elements and the fuzz corpus under AddressSanitizer
	@scripts/asan.sh

fuzz: setup ## run each fuzz target for a minute (wants cargo-fuzz; fuzz/README.md)
	@scripts/fuzz.sh

train-setup: ## fetch what the trainer links and reads (libtorch, the fixed network)
	@src/train/scripts/setup.sh

weights: setup ## exchange the weights that ship: CHECKPOINT=FILE DATA=FOLDER, ARGS= for more of `facesr-train export`
	@scripts/weights.sh "$(CHECKPOINT)" "$(DATA)" $(ARGS)

clean: ## remove what was built; what was fetched stays
	@rm -rf out "$(CARGO_TARGET_DIR)/debug" "$(CARGO_TARGET_DIR)/release" \
	    "$(CARGO_TARGET_DIR)/gst" "$(CARGO_TARGET_DIR)/registry" "$(CARGO_TARGET_DIR)/work"

distclean: ## remove everything that is not in the repository's care: target and out
	@rm -rf out "$(CARGO_TARGET_DIR)"
