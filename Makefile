# The commands of the README. `make` alone lists them.

CARGO ?= cargo
# haproxy, ip and nft live in sbin, which is off many users' PATH.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

DEPS := packaging/install-deps.sh
# The HAProxy versions beside the installed one, each a Debian suite that carries it (trees.sh knows which).
VERSIONS ?= 3.0 3.2
# How long the chaos begins new rounds.
TIME ?= 5m
MINUTES ?= 60

# A test that fails says what it saw; backtraces of its runtime drown that. For one: RUST_BACKTRACE=1 cargo test NAME.
TEST = RUST_BACKTRACE=0 $(CARGO) test --workspace --no-fail-fast

# What is handed out, and measured: static, and what an agent never runs last (see the two files).
TARGET = $(shell packaging/target.sh)
RUSTFLAGS_SHIPPED = $(or $(shell packaging/rustflags.sh $(TARGET)),$(error packaging/rustflags.sh failed))
SHIPPED = --profile shipped --target $(TARGET) --config 'build.rustflags=[$(RUSTFLAGS_SHIPPED)]'

.DEFAULT_GOAL := help
.PHONY: help demo test test-versions bench sweep chaos lint dist

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
		printf 'make %-14s %s\n' "$$name" "$$what"; done

demo: ## agents join, drain and crash beside a real load balancer (ARGS="--driver nginx|openresty"; ARGS=--keep leaves it running)
	@$(DEPS) demo-$(or $(filter nginx openresty,$(subst =, ,$(ARGS))),haproxy)
	$(CARGO) run --release --bin backchat -- demo $(ARGS)

test: ## all tests, on the installed HAProxy and nginx
	@$(DEPS) test
	$(TEST)

test-versions: ## the tests again on HAProxy 3.0 and 3.2, nginx 1.26 and 1.30, out of Debian trees under trees/
	@$(DEPS) test-versions
	@for version in $(VERSIONS); do \
		wrappers="$$(integration/trees.sh $$version)" || exit 1; \
		set -- $$wrappers; \
		echo "== HAProxy $$version: $$1, nginx: $$2"; \
		BACKCHAT_HAPROXY="$$1" BACKCHAT_NGINX="$$2" $(TEST) || exit 1; \
	done

bench: ## compare with Serf and a reload script, side by side; writes target/bench.md; and what a plan costs
	@$(DEPS) bench
	$(CARGO) bench $(SHIPPED) --bench bench -- $(ARGS)
	$(CARGO) bench $(SHIPPED) --bench plan

sweep: ## loss and stalls at 3, 10 and 100 simulated nodes, and the numbers of each profile (MINUTES=60); into target/sweep.md
	@$(DEPS) test
	SWEEP_MINUTES=$(MINUTES) $(CARGO) test --release --test integration -- --nocapture --exact simulator::report::the_tables_of_the_readme

chaos: ## disorder out of a seed on network namespaces, under load; as root (TIME=30m SEED=7, FROM=12 to begin there)
	@$(DEPS) chaos
	$(CARGO) build --release --bin backchat
	$(CARGO) test --test chaos -- --chaos --program $(or $(CARGO_TARGET_DIR),target)/release/backchat --time $(TIME) \
		$(if $(SEED),--seed $(SEED)) $(if $(FROM),--from $(FROM))

lint: ## formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

dist: ## an archive with the program, its units and licences under target/dist/
	$(CARGO) build $(SHIPPED) --locked --bin backchat
	@TARGET=$(TARGET) packaging/dist.sh
