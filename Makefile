# `make demo` and `make test` set up a virtual environment when there is none
# (or when what it is made from has changed) and then use it.
#
#   PYTHON         python of the default stack, 3.10 to 3.12
#   LEGACY_PYTHON  python of OpenMMLab's last releases, 3.10 or 3.11
#   TORCH_INDEX    further package index for torch; the CPU build is smaller:
#                  make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
#   PYTEST_ARGS    arguments of pytest; without them, two processes share the
#                  test files. make test PYTEST_ARGS='-n 2 -m "not slow"' leaves
#                  out what takes long
#
# pip's own variables (PIP_INDEX_URL, ...) work as well.

find_python = $(shell for python in $(1); do \
	$$python -c "import ensurepip, sys; sys.exit(not (3, 10) <= sys.version_info < (3, $(2)))" \
	2> /dev/null && { echo $$python; break; }; done)

PYTHON ?= $(call find_python,python3 python3.11 python3.12 python3.10,13)
LEGACY_PYTHON ?= $(call find_python,python3 python3.11 python3.10,12)
# Not for what the recipes start: it would take the place of the environment's.
unexport PYTHON LEGACY_PYTHON
VENV := .venv
LEGACY_VENV := .venv-legacy
BIN := $(VENV)/bin
PYTEST_ARGS ?= -n 2 --dist loadfile
DEMO := work_dirs/intr_demo
EVIDENCE := $(DEMO)_evidence
LOCK := requirements/lock-default.txt
SETUP_FILES := setup.py $(addprefix requirements/,runtime.txt tests.txt deploy.txt)
CODE := intr_mm intr_mm_flags benchmarks configs demo docs tools tests setup.py

.PHONY: help setup setup-legacy demo test test-legacy docs lint format clean

help:
	@echo 'make demo | test | test-legacy | docs | lint | format | clean'

# $(1) folder, $(2) python, $(3) minor version too high, $(4) variable naming
# the python, $(5) lock file, $(6) packages. The mm packages are built in
# isolation from torch, hence without ops, hence without a compiler.
define create_venv
	@"$(2)" -c "import sys; sys.exit(not (3, 10) <= sys.version_info < (3, $(3)))" \
	2> /dev/null || { echo "Python 3.10 or newer but below 3.$(3) is needed and \
	'$(2)' is not: name one with 'make $(4)=/path/to/python'."; exit 1; }
	"$(2)" -m venv $(1)
	$(1)/bin/python -m pip install --disable-pip-version-check -c $(5) \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch torchvision \
	$(6) -r requirements/runtime.txt -r requirements/tests.txt
	$(1)/bin/python -m pip install --disable-pip-version-check --no-deps \
	--no-build-isolation -e .
	@$(1)/bin/python -c "import cv2" 2> /dev/null || { \
	echo "OpenCV's usual build needs libGL, which is missing: using headless."; \
	$(1)/bin/python -m pip install --disable-pip-version-check -c $(5) \
	--no-deps --force-reinstall opencv-python-headless; }
	@touch $@
endef

$(VENV)/.done: $(LOCK) requirements/onedl.txt $(SETUP_FILES)
	$(call create_venv,$(VENV),$(PYTHON),13,PYTHON,$<,-r requirements/onedl.txt -r requirements/deploy.txt)

$(LEGACY_VENV)/.done: requirements/lock-legacy.txt $(SETUP_FILES)
	$(call create_venv,$(LEGACY_VENV),$(LEGACY_PYTHON),12,LEGACY_PYTHON,$<,mmcv-lite mmengine mmpretrain mmdet)

setup: $(VENV)/.done

setup-legacy: $(LEGACY_VENV)/.done

# $(1) config, $(2) work folder: train, test on other scenes, repaint parts.
define run_demo
	$(BIN)/python tools/train.py configs/$(1).py --amp --overwrite --work-dir $(2)
	$(BIN)/python tools/test.py configs/$(1).py $$(cat $(2)/last_checkpoint) \
	--work-dir $(2)/test --out $(2)/test.json --out-item metrics
	$(BIN)/python tools/test.py configs/$(1)_counterfactual.py \
	$$(cat $(2)/last_checkpoint) --work-dir $(2)/counterfactual \
	--out $(2)/counterfactual.json --out-item metrics
endef

# The paper's head and the evidence head, side by side.
demo: setup
	$(call run_demo,intr_demo,$(DEMO))
	$(call run_demo,intr_demo_evidence,$(EVIDENCE))
	$(BIN)/python tools/analysis_tools/summarize_demo.py $(DEMO) $(EVIDENCE)

# Where a worker crashes, pytest-xdist would start another, and then wait for
# ever for the rest of the file that the first was at.
test: setup
	$(BIN)/python -m pytest --max-worker-restart=0 $(PYTEST_ARGS)

# The same suite on OpenMMLab's last releases.
test-legacy: setup-legacy
	$(LEGACY_VENV)/bin/python -m pytest --max-worker-restart=0 $(PYTEST_ARGS)

# Sphinx itself asks for Python 3.11.
$(VENV)/.docs: $(VENV)/.done requirements/docs.txt
	@$(BIN)/python -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	echo "make docs needs Python 3.11 or 3.12 in $(VENV): remove it and name \
	one with 'make docs PYTHON=/path/to/python'."; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check -c $(LOCK) \
	-r requirements/docs.txt
	@touch $@

# Warnings, broken links between pages among them, are errors.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

lint: setup
	$(BIN)/flake8 $(CODE)
	$(BIN)/isort --check-only --diff $(CODE)
	$(BIN)/yapf --diff --recursive $(CODE)

format: setup
	$(BIN)/isort $(CODE)
	$(BIN)/yapf --in-place --recursive $(CODE)

# Keeps data and results (data, work_dirs).
clean:
	rm -rf $(VENV) $(LEGACY_VENV) build dist docs/_build *.egg-info intr_mm/.mim .pytest_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
