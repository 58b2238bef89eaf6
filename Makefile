# A clone plus Python 3.11+, a C compiler and make is all that is needed: `make serve` or `make test`.
# Stamp files under .venv/stamps keep a second run quick; each names what it was made from.

PYTHON ?= python3
ARGS ?=
# The files of which the bundled model is made anew; without YUNET, a network begins with random weights.
YUNET ?=
CENTERFACE ?=
# Processes that the tests are shared out to.
JOBS ?= 2

VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
# --no-input: CI has no terminal to answer from.
PIP := $(PY) -m pip --disable-pip-version-check --no-input
PIP_INSTALL := $(PIP) install --quiet --constraint constraints.txt

KERNEL_SOURCES := $(wildcard native/*.pyx native/*.pxd native/*.pxi native/*.h native/*.c.in) setup.py
ASSETS := admin_ui/static/vendor/manifest.json
SHELL_SCRIPTS := .ci/run $(wildcard scripts/*.sh native/*.sh)

# The built module lies in the source tree, where `make clean` or a git command may remove it behind the stamp's back.
ifeq ($(wildcard native/kernels*.so),)
.PHONY: $(STAMPS)/kernels
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install serve test test-training train lint bench format clean distclean sanitize assets lock dist

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

install: $(STAMPS)/kernels $(ASSETS)  ## make .venv with what the service needs, build the kernels and the front-end files

serve: install  ## install, then run the service (ARGS="--port 9000" and so on)
	@exec $(VENV)/bin/face-api serve $(ARGS)

test: install $(STAMPS)/dev  ## install, then run every test (ARGS="tests/unit -k masks" and so on)
	@sh scripts/install-system.sh
	@$(PY) -m compileall -q service native admin_ui
	@sh scripts/run-tests.sh $(PY) $(JOBS) $(ARGS)

test-training: $(VENV)/training/stamp install  ## the tests of training that need PyTorch, in .venv/training
	@$(VENV)/training/bin/python -m pytest -p no:cacheprovider training/tests $(ARGS)

train: $(VENV)/training/stamp install  ## make the bundled model anew: make train DATA=FOLDER YUNET=yunet_n.onnx CENTERFACE=centerface.onnx
	@$(if $(YUNET),$(PY) -m training.recipe "$(DATA)" "$(YUNET)" "$(CENTERFACE)",\
		$(VENV)/training/bin/python -m torch.distributed.run --standalone --nproc-per-node $$(nproc) -m training.train "$(DATA)") $(ARGS)

lint: install $(STAMPS)/dev  ## ruff, mypy and shellcheck
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/shellcheck $(SHELL_SCRIPTS)

format: $(STAMPS)/dev  ## let ruff mend what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: install $(STAMPS)/dev $(STAMPS)/contenders  ## install the contenders, then measure everything (ARGS="--model scrfd_2.5g" and so on)
	$(PY) -m bench kernels detector mask http startup memory storage $(ARGS)

sanitize: install $(STAMPS)/dev  ## run the kernels' tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@PYTHON=$(PY) sh native/sanitize.sh $(ARGS)

assets: $(ASSETS)  ## build admin_ui/static/vendor from npm packages

dist: $(ASSETS)  ## build a wheel, front-end files included, into dist/
	@sh scripts/build-wheel.sh dist "$(PYTHON)"

lock: $(STAMPS)/venv  ## make constraints.txt anew from pyproject.toml, in a fresh environment
	@sh scripts/lock.sh "$(PYTHON)"

clean:  ## remove what was built (not .venv, not data/)
	rm -rf build dist artefacts *.egg-info admin_ui/static/vendor native/*.so native/kernels.c native/*.html
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .coverage
	find . -name __pycache__ -type d -not -path '*/.venv/*' -prune -exec rm -rf {} +

distclean: clean  ## clean, and remove .venv as well
	rm -rf $(VENV)

$(STAMPS)/venv: scripts/check_python.py
	@command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON): not found. Install Python 3.11 or later, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" scripts/check_python.py
	@echo "making $(VENV)"
	@"$(PYTHON)" -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/deps: $(STAMPS)/venv constraints.txt pyproject.toml
	@echo "installing the run-time packages"
	@$(PIP_INSTALL) pip
	@$(PY) scripts/requirements.py > $@.txt
	@$(PIP_INSTALL) setuptools Cython --requirement $@.txt
	@touch $@

$(STAMPS)/dev: $(STAMPS)/deps
	@echo "installing the development packages"
	@$(PY) scripts/requirements.py dev > $@.txt
	@$(PIP_INSTALL) --requirement $@.txt
	@touch $@

$(VENV)/training/stamp: training/requirements.txt constraints.txt
	@echo "making $(VENV)/training"
	@"$(PYTHON)" -m venv $(VENV)/training
	@$(VENV)/training/bin/python -m pip --disable-pip-version-check --no-input install --quiet --constraint constraints.txt \
		--requirement training/requirements.txt
	@touch $@

# In a folder of their own: what they pull in must not change what the service runs with.
$(STAMPS)/contenders: $(STAMPS)/deps bench/requirements.txt
	@echo "installing what the benchmark compares with"
	@rm -rf $(VENV)/contenders
	@$(PIP) install --quiet --no-deps --target $(VENV)/contenders --requirement bench/requirements.txt
	@touch $@

# setuptools compares times of the .pyx alone, so that new compiler flags or a new header would leave the old module: remove it.
$(STAMPS)/kernels: $(STAMPS)/deps $(KERNEL_SOURCES)
	@echo "building the native kernels"
	@rm -rf native/kernels*.so native/kernels.c build/temp.*
	@PYTHONWARNINGS=ignore $(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(ASSETS): $(STAMPS)/venv admin_ui/assets.py admin_ui/package.json admin_ui/package-lock.json admin_ui/.npmrc
	@echo "building the front-end files"
	@$(PY) admin_ui/assets.py --install-node
