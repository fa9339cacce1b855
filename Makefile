# demo · test · check · bench: what the README promises. Each makes its own environment, .venv;
# KEDGE_PYTHON=/path/to/python3.11 chooses its Python.

# One table each, written to benchmarks/results/.
BENCHMARKS = startup on_device compression fleet_delta fleet_growth fleet doors search_engine examples

# The site, in docs/_build/html.
SPHINX = .venv/bin/python -m sphinx --fail-on-warning --keep-going --quiet

.PHONY: help demo test check bench docs examples env packages lock digests clean

help:
	@echo "make demo    train, convert, deploy and measure a small model, from nothing"
	@echo "make test    every test (TESTS=tests/converters for some)"
	@echo "make check   format, lint, types, layers and every test, as CI does"
	@echo "make bench   the comparisons with other tools"
	@echo "make docs    the documentation as a site: docs/_build/html/index.html"
	@echo "make examples every worked example of examples/, end to end"
	@echo "make env     .venv with everything for development"
	@echo "make lock    renews the versions of all packages of .venv"
	@echo "make digests renews the digests of the wheels that boards get"
	@echo "make clean   removes what the others made here"

demo: env
	.venv/bin/kedge demo

test: env packages
	-@.venv/bin/python -m tests.arm64_root
	.venv/bin/pytest $(TESTS)

check: env packages
	.venv/bin/python .ci/check.py

bench: env
	@for name in $(BENCHMARKS); do \
		echo "== $$name"; .venv/bin/python -m benchmarks.$$name || exit 1; \
	done

# Half an hour: each example is trained, converted and measured as its README says.
examples: env packages
	.venv/bin/python .ci/check.py examples

docs: env
	$(SPHINX) -b html docs docs/_build/html

env: .venv/.installed

packages:
	@.ci/system_packages.sh

.venv/.installed: .ci/constraints.txt .ci/torch.txt .ci/torch_cpu.txt .ci/env.sh setup.cfg pyproject.toml
	.ci/env.sh

# The newest versions that setup.cfg allows, for every Python that kedge supports, by their hashes.
lock: env
	.venv/bin/python .ci/lock.py --upgrade

# The index publishes them; docs/decisions.md says what they are for.
digests: env
	.venv/bin/python .ci/wheel_digests.py

clean:
	rm -rf .venv build dist *.egg-info kedge-demo docs/_build docs/generated
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
