# The one door: make demo | test | test-c | test-neon | grid | bench | bench-quick | catalogue | soak | sanitize | fuzz |
#                    lint | format | notebooks | browser | docs | wheel | clean
#
# Each target makes what it needs: a virtual environment, the build, the extra packages. Nothing has to be active.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find csrc python notebooks -name '*.md' -o -name '*.ipynb' -o -name '*.[ch]' -o -name '*.inc' -o -name '*.py' -o -name '*.pyi') setup.py pyproject.toml

.PHONY: demo test test-long test-fast test-c test-neon grid bench bench-quick catalogue soak sanitize fuzz exp-exhaustive
.PHONY: notebooks browser docs lint format wheel clean

demo: $(VENV)/.installed-plot
	$(BIN)/badak demo

# The tests run against the installed package, from another directory: never against the source tree.
# A process for each core.
test: $(VENV)/.installed-test test-c
	cd tests && ../$(BIN)/python -m pytest -p no:cacheprovider -q -n auto -m "not long and not notebook" $(ARGS)

# What takes minutes each: the book's experiments in full.
test-long: $(VENV)/.installed-test
	cd tests && ../$(BIN)/python -m pytest -p no:cacheprovider -q -m long $(ARGS)

test-fast: $(VENV)/.installed-test
	cd tests && ../$(BIN)/python -m pytest -p no:cacheprovider -q -n auto -m "not slow and not long and not notebook" $(ARGS)

test-c:
	$(MAKE) -C tests/c test

# For 64-bit Arm on any machine: a cross compiler and an emulator of processes are needed (CONTRIBUTING.md).
test-neon:
	$(MAKE) -C tests/c test-neon

exp-exhaustive:
	$(MAKE) -C tests/c exp-exhaustive

# The table of docs/robustness.md: every number of the catalogue, its tests, and what was decided.
catalogue: $(VENV)/.installed-test
	cd tests && ../$(BIN)/python catalogue_table.py ../docs/robustness.md

# Long: a million steps in flat memory, 100 interruptions of a fit.
soak: $(VENV)/.installed-test
	cd tests && BADAK_SOAK=10 ../$(BIN)/python -m pytest -p no:cacheprovider -q test_fit.py -k interrupted
	cd tests && ../$(BIN)/python soak.py

# Memory that is not there is an answer (MemoryError), no error of the program.
SANITIZED = cd tests && ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	../.venv-sanitize/bin/python -m pytest -p no:cacheprovider -q -s

# The Python tests once more, with the extension built for ASan and UBSan.
sanitize: .venv-sanitize
	$(SANITIZED) -m "not slow and not long and not notebook" $(ARGS)

# 10^5 mixtures of arguments, with the same build. SEED=2 takes others.
EXAMPLES ?= 100000
SEED ?= 1
fuzz: export BADAK_FUZZ_EXAMPLES = $(EXAMPLES)
fuzz: export BADAK_FUZZ_SEED = $(SEED)
fuzz: .venv-sanitize
	$(SANITIZED) test_fuzz.py $(ARGS)

.venv-sanitize: $(SOURCES)
	$(PYTHON) -m venv $@
	BADAK_SANITIZE=1 $@/bin/pip install -q --force-reinstall ".[test]"
	touch $@

# Convolution and Pooling of all sizes, against PyTorch too; a quarter of an hour.
grid: .venv-bench
	cd tests && ../.venv-bench/bin/python image_grid.py $(ARGS)

# Beside PyTorch, JAX, scikit-learn and the book's NumPy; let nothing else run. Writes benchmarks/results.
bench: .venv-bench
	.venv-bench/bin/python benchmarks/bench.py --out benchmarks/results $(ARGS)

# The works that have a target, in two minutes.
bench-quick: .venv-bench
	.venv-bench/bin/python benchmarks/bench.py --quick --out benchmarks/results $(ARGS)

.PHONY: .venv-bench
.venv-bench:
	test -d $@ || $(PYTHON) -m venv $@
	$@/bin/pip install -q -r benchmarks/requirements.txt
	$@/bin/pip install -q --no-deps .

# All of them, cell by cell, in an empty folder; one after the other, because each has a minute on two cores.
notebooks: $(VENV)/.installed-test
	cd tests && ../$(BIN)/python -m pytest -p no:cacheprovider -q --durations=20 test_notebooks.py $(ARGS)

# Notebooks in a real JupyterLab in a real browser: needs Chromium and its driver (Debian: chromium, chromium-driver).
browser: $(VENV)/.installed-browser
	cd tests && ../$(BIN)/python -m pytest -p no:cacheprovider -q browser/lab.py $(ARGS)

# The site, in docs/_build/html: without a warning, and with every link within it leading somewhere.
docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b linkcheck docs docs/_build/links

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.c' '*.h' '*.inc')

format: $(VENV)/.installed-lint
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files '*.c' '*.h' '*.inc')

wheel: $(VENV)/.made
	$(BIN)/pip wheel -q --no-deps -w dist .

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed-plot: $(SOURCES) | $(VENV)/.made
	$(BIN)/pip install -q ".[plot]"
	touch $@

$(VENV)/.installed-test: $(SOURCES) | $(VENV)/.made
	BADAK_STRICT=$(STRICT) $(BIN)/pip install -q ".[test]"
	touch $@ $(VENV)/.installed-plot

$(VENV)/.installed-browser: $(SOURCES) | $(VENV)/.made
	$(BIN)/pip install -q ".[browser]"
	touch $@

$(VENV)/.installed-docs: $(SOURCES) | $(VENV)/.made
	$(BIN)/pip install -q ".[docs]"
	touch $@

$(VENV)/.installed-lint: | $(VENV)/.made
	$(BIN)/pip install -q ruff==0.17.6 clang-format==23.1.5
	touch $@

clean:
	rm -rf $(VENV) .venv-sanitize .venv-bench build dist docs/_build docs/chapters python/*.egg-info demo.png benchmarks/results
	find python -name '*.so' -delete
	$(MAKE) -C tests/c clean
