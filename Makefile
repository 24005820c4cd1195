# Every target runs on a fresh clone. `make demo` shows the product, `make test` holds it to its promises.
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

.PHONY: demo test test-long setup fmt lint docs unit doctest sim mutants bench static clean

demo: ## the main job, on this machine's Docker Engine
	$(CARGO) run --quiet --release -p orch-examples --bin demo

test: setup fmt lint docs unit doctest sim ## everything that CI holds a change to

setup: ## PostgreSQL's programs and a Docker Engine; NO_SETUP=1 forbids installing
	.ci/setup

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --workspace --no-deps

unit:
	.ci/unit

doctest:
	$(CARGO) test --quiet --workspace --doc

SEEDS ?= 1000
sim: ## the seeded simulation; SEEDS=5000 make sim
	$(CARGO) run --quiet --release -p orch-sim -- --seeds $(SEEDS)

test-long: setup ## loops that take longer than a change should wait for
	$(CARGO) test --workspace -- --ignored --test-threads=1
	.ci/schemathesis
	.ci/images
	$(MAKE) mutants MUTANTS="--shard 1/200"
	$(MAKE) sim SEEDS=5000

MUTANTS ?=
mutants: ## what no test notices in the code that decides; hours: MUTANTS="--shard 1/200", or "--file orch-core/src/…"
	$(CARGO) mutants --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-mutants
	CARGO_INCREMENTAL=1 $(CARGO) mutants --output target $(MUTANTS)

bench: ## figures, as ratios against references in the same run
	$(CARGO) build --quiet --release -p orch-server -p orch-agent -p orch-client # measured by `footprint` and `cli`
	$(CARGO) run --quiet --release -p orch-bench -- all

STATIC := $(shell uname -m)-unknown-linux-gnu
static: ## the programs without a libc of their own, for images from scratch
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --quiet --release --target $(STATIC) --target-dir target/static \
		-p orch-server -p orch-agent -p orch-client
	mkdir -p target/static/bin
	cp $(addprefix target/static/$(STATIC)/release/,orch-server orch-agent orch) target/static/bin/
	mkdir -p target/static/bin/data target/static/share/man/man1 target/static/share/man/man8
	target/static/bin/orch man target/static/share/man/man1
	target/static/bin/orch-server man target/static/share/man/man8
	target/static/bin/orch-agent man target/static/share/man/man8

clean:
	$(CARGO) clean
