# make setup | demo | test | test-fast | format.  Everything lives in .venv of this checkout; .venv/bin/hubel is the command.
#   PYTHON=/path/to/python3.12 make setup     another interpreter (3.11 or newer)
#   INSTALL="uv pip install --python .venv/bin/python" make setup     another installer, same constraints

PYTHON ?= python3
INSTALL ?= .venv/bin/python -m pip install --disable-pip-version-check --quiet
STAMP := .venv/.installed

.PHONY: setup demo test test-fast format clean
.DELETE_ON_ERROR:

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hubel needs Python 3.11 or newer; name one with PYTHON=/path/to/python make setup" >&2; exit 1; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "no virtual environment could be made; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "installing hubel and the tested versions of what it needs into .venv (a few minutes the first time)"
	$(INSTALL) -c constraints.txt -e '.[dev]'
	@mkdir -p .venv/types && ln -sfn ../.. .venv/types/hubel  # the package under its name, for the type checker
	@touch $@

demo: setup
	.venv/bin/hubel demo

test: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/basedpyright
	.venv/bin/pytest -n 2

test-fast: setup
	.venv/bin/pytest -n 2 -m "not slow and not browser and not subject and not tagger and not packages"

format: setup
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
