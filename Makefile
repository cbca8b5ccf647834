# make quickstart   the whole chain on the miniature: offline after the install, CPU, minutes
# make demo         the booth on the miniature, in a browser, offline
# make test         every check; make tests PYTEST="-k quickstart" some of them
# make slow         the checks that take minutes each, and the property tests on new examples
# make bench        the numbers of the README, printed
# make mini         what of the miniature suite is missing, or whose recipe has changed, trained from nothing (hours on a CPU)
# make lint         only the checks that run nothing
#
# Works with GNU make 3.81, which macOS ships. PYTHON=python3.12 chooses the Python that makes .venv.

BIN := .venv/bin
PYTHON3 := $(shell for p in $(or $(PYTHON),python3 python3.11 python3.12 python3.13); do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
MINI := mini_vae mini_vae_decoder mini_clip mini_unet mini_korean_clip mini_align mini_ko_first mini_ko_second mini_ko_third mini_ko mini_recogniser mini_recogniser_paint mini_recogniser_last mini_llava mini_llama

# Files with property tests.
PROPERTIES = $(shell grep -rl "import given" tests --include='*.py')

.PHONY: quickstart demo test tests slow bench mini lint style types

quickstart: .venv/.installed
	$(BIN)/kimchi quickstart

demo: .venv/.installed-demo
	$(BIN)/kimchi demo --open

# Types beside the tests, which leave the cores idle at times. A third worker of pytest in their place makes browsers too slow for their tests.
test: style
	$(MAKE) -j2 types tests

tests: .venv/.installed-dev
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not slow and not bench" $(PYTEST)

slow: .venv/.installed-dev
	$(BIN)/pytest -m slow
	HYPOTHESIS_PROFILE=new $(BIN)/pytest -n auto --maxprocesses 4 -m "not slow and not bench" $(PROPERTIES)

bench: .venv/.installed-dev
	$(BIN)/python tests/benchmarks/spine.py
	$(BIN)/python tests/benchmarks/align.py
	$(BIN)/python tests/benchmarks/trainer.py
	$(BIN)/python tests/benchmarks/study_load.py
	$(BIN)/python tests/benchmarks/serving.py
	$(BIN)/python tests/benchmarks/booth.py
	$(BIN)/python tests/benchmarks/prepare.py
	$(BIN)/python tests/benchmarks/reading.py
	$(BIN)/python tests/benchmarks/captioning.py

mini: .venv/.installed
	for recipe in $(MINI); do case $$recipe in *_align) verb=align;; *) verb=train;; esac; $(BIN)/kimchi $$verb $$recipe || exit; done

lint: style types

style: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/.installed-dev
	$(BIN)/pyright --project pyproject.toml
	$(BIN)/lint-imports

.venv/.installed: pyproject.toml constraints.txt | .venv/bin/pip
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[eval]'
	@touch $@

.venv/.installed-demo: .venv/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# A venv without pip is half made: Debian leaves one when python3-venv is missing.
.venv/bin/pip:
	@test -n "$(PYTHON3)" || { echo "KIMCHI needs Python 3.11 or newer, and none is on the PATH. Install one (Debian: apt install python3 python3-venv; macOS: brew install python@3.12), or run make PYTHON=/path/to/python3." >&2; exit 1; }
	$(PYTHON3) -m venv --clear .venv || { rm -rf .venv; echo "$(PYTHON3) cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv." >&2; exit 1; }
