# The short commands. `make help` lists them; the build itself is CMake (see CMakePresets.json).

DEMO := build/release/bin/sluice run examples/changes/changes.yaml

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := all
.PHONY: all demo test test-long test-asan test-tsan bench-graph bench-expr bench-start bench-durable \
        bench-attention bench-serving bench-batch soak soak-bugs soak-serve format lint clean help packages

# Configures build/$(1) when needed and builds the targets $(2) there.
define build
	@test -f build/$(1)/build.ninja || { echo "sluice: configuring build/$(1)" >&2; \
	  cmake --preset $(1) >build/.configure.log 2>&1 || \
	  { cat build/.configure.log >&2; exit 1; }; }
	@ninja -C build/$(1) $(if $(SLUICE_JOBS),-j$(SLUICE_JOBS)) $(2) | { said=; \
	  while IFS= read -r line; do case "$$line" in \
	    "["*"] Building "* | "["*"] Linking "*) test -n "$$said" || \
	      echo "sluice: compiling build/$(1) (minutes the first time, seconds after)" >&2; said=1 ;; \
	    "["*"] "* | "-- "* | "ninja: Entering directory"* | "ninja: no work to do.") ;; \
	    *) printf '%s\n' "$$line" ;; \
	  esac; done; }
endef

# Fetches and builds the third-party items $(1); CMake looks at build/.third_party for a new place.
define provide
	@python3 scripts/third_party.py ensure $(1) >build/.third_party.new
	@cmp -s build/.third_party.new build/.third_party || \
	  mv build/.third_party.new build/.third_party
endef

ENGINE := llama xgrammar model
TESTED := llama xgrammar model schema_suite mcp_servers openai_js pytest
SANITIZED := $(subst llama,llama_serial,$(TESTED))

packages:
	@mkdir -p build
	@scripts/install_packages.sh

all: packages ## build build/release/bin/sluice
	$(call provide,$(ENGINE))
	$(call build,release,sluice)

demo: all ## install, fetch, build and run the main job: what changed on this machine
	@$(DEMO)

test: packages ## build and run every test
	$(call provide,$(TESTED))
	$(call build,release,all)
	@scripts/run_tests.py build/release

test-long: packages ## the same with long fuzzing and many more seeds
	$(call provide,$(TESTED))
	$(call build,release,all)
	@scripts/run_tests.py build/release --long

test-asan: packages ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(call provide,$(SANITIZED))
	$(call build,asan,all)
	@scripts/run_tests.py build/asan

test-tsan: packages ## the tests under ThreadSanitizer
	$(call provide,$(SANITIZED))
	$(call build,tsan,all)
	@scripts/run_tests.py build/tsan

soak: packages ## simulate SLUICE_SOAK_SEEDS (1,000,000) histories with crashes, over all cores
	$(call provide,llama xgrammar)
	$(call build,release,bench_soak)
	@SLUICE_SOURCE_DIR=$(CURDIR) build/release/bin/bench_soak

soak-bugs: packages ## find the seed that notices each injected bug; writes docs/injected_bugs.md
	$(call provide,llama xgrammar)
	$(call build,release,bench_soak)
	@build/release/bin/bench_soak --bugs tests/sim/injected_bugs.def docs/injected_bugs.md

# Not by ctest: its entry is killed after minutes.
soak-serve: packages ## random clients on our server for SLUICE_SOAK_SECONDS (3,600); memory must be flat
	$(call provide,$(ENGINE) pytest)
	$(call build,release,sluice)
	@SLUICE_SOAK_SECONDS=$${SLUICE_SOAK_SECONDS:-3600} SLUICE_BIN=$(CURDIR)/build/release/bin/sluice \
	  SLUICE_TEST_MODEL=$$(sed -n 's/^model=//p' build/.third_party) \
	  $$(sed -n 's/^pytest=//p' build/.third_party) -m pytest -q -s -p no:cacheprovider \
	  tests/e2e/test_serve_soak.py

bench-graph: packages ## run time per step against oneTBB and LangGraph (see bench/graph/README.md)
	$(call provide,llama xgrammar bench_python)
	$(call build,release,sluice bench_graph)
	@SLUICE_BENCH_PYTHON=$$(sed -n 's/^bench_python=//p' build/.third_party) \
	  $(firstword $(wildcard bench/graph/run) build/release/bin/bench_graph)

bench-start: all ## from starting the program to the first token (see bench/start/README.md)
	@python3 bench/start/start.py build/release/bin/sluice

bench-durable: packages ## what durability costs, beside DBOS, LangGraph and Restate (see bench/durable/README.md)
	$(call provide,$(ENGINE) bench_durable restate)
	$(call build,release,sluice bench_durable)
	@python3 bench/durable/durable.py --sluice build/release/bin/sluice \
	  --bench build/release/bin/bench_durable \
	  --python $$(sed -n 's/^bench_durable=//p' build/.third_party) \
	  --restate $$(sed -n 's/^restate=//p' build/.third_party)

bench-attention: packages ## our attention kernel against llama.cpp's (see bench/attention/README.md)
	$(call provide,$(ENGINE))
	$(call build,release,bench_attention)
	@build/release/bin/bench_attention --model $$(sed -n 's/^model=//p' build/.third_party)

# SLUICE_BENCH holds more options, such as `--rows docs --quick` (see bench/serving/README.md).
bench-serving: packages ## our server beside llama.cpp's (see bench/serving/README.md)
	$(call provide,$(ENGINE) llama_server)
	$(call build,release,sluice)
	@python3 bench/serving/serving.py --sluice build/release/bin/sluice \
	  --llama $$(sed -n 's/^llama_server=//p' build/.third_party) \
	  --model $$(sed -n 's/^model=//p' build/.third_party) $(SLUICE_BENCH)

# SLUICE_BENCH holds more options, such as `--quick` or `--parallelqa FILE` (see bench/batch/README.md).
bench-batch: packages ## whole pipelines beside programs on llama.cpp's server (see bench/batch/README.md)
	$(call provide,$(ENGINE) llama_server bench_python)
	$(call build,release,sluice bench_planning)
	@python3 bench/batch/batch.py --sluice build/release/bin/sluice \
	  --planning build/release/bin/bench_planning \
	  --llama $$(sed -n 's/^llama_server=//p' build/.third_party) \
	  --model $$(sed -n 's/^model=//p' build/.third_party) \
	  --python $$(sed -n 's/^bench_python=//p' build/.third_party) $(SLUICE_BENCH)

bench-expr: packages ## time per expression (see bench/expr/README.md)
	$(call provide,llama xgrammar)
	$(call build,release,bench_expr)
	@build/release/bin/bench_expr

format: ## format our sources in place
	@scripts/list_sources.sh | xargs -0 -r clang-format-19 -i

lint: ## check formatting and run clang-tidy over our sources
	@scripts/list_sources.sh | xargs -0 -r clang-format-19 --dry-run -Werror
	@test -f build/release/compile_commands.json || cmake --preset release >/dev/null
	@echo "sluice: clang-tidy over src/ (minutes)" >&2
	@run-clang-tidy-19 -quiet -p build/release -header-filter='$(CURDIR)/src/.*' '$(CURDIR)/src/.*'

clean: ## remove build/ (the cache outside the checkout stays)
	@rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14
