# `make demo` and `make test` set up a virtual environment when there is none
# (or when what it is made from has changed) and then use it.
#
#   PYTHON         python of the default stack, 3.10 to 3.12
#   LEGACY_PYTHON  python of OpenMMLab's last releases, 3.10 or 3.11
#   TORCH_INDEX    further package index for torch; the CPU build is smaller:
#                  make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
#   PYTEST_ARGS    further arguments of pytest
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
DEMO := work_dirs/intr_demo
DEMO_CHECKPOINT = $$(cat $(DEMO)/last_checkpoint)
SETUP_FILES := setup.py $(addprefix requirements/,runtime.txt tests.txt)
CODE := intr_mm benchmarks configs tools tests setup.py

.PHONY: help setup setup-legacy demo test test-legacy lint format clean

help:
	@echo 'make demo | test | test-legacy | lint | format | clean'

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

$(VENV)/.done: requirements/lock-default.txt requirements/onedl.txt $(SETUP_FILES)
	$(call create_venv,$(VENV),$(PYTHON),13,PYTHON,$<,-r requirements/onedl.txt)

$(LEGACY_VENV)/.done: requirements/lock-legacy.txt $(SETUP_FILES)
	$(call create_venv,$(LEGACY_VENV),$(LEGACY_PYTHON),12,LEGACY_PYTHON,$<,mmcv-lite mmengine mmpretrain mmdet)

setup: $(VENV)/.done

setup-legacy: $(LEGACY_VENV)/.done

# Train, test on other scenes, repaint telling parts, and sum up.
demo: setup
	$(BIN)/python tools/train.py configs/intr_demo.py --amp \
	--work-dir $(DEMO)
	$(BIN)/python tools/test.py configs/intr_demo.py $(DEMO_CHECKPOINT) \
	--work-dir $(DEMO)/test --out $(DEMO)/test.json --out-item metrics
	$(BIN)/python tools/test.py configs/intr_demo_counterfactual.py \
	$(DEMO_CHECKPOINT) --work-dir $(DEMO)/counterfactual \
	--out $(DEMO)/counterfactual.json --out-item metrics
	$(BIN)/python tools/analysis_tools/summarize_demo.py $(DEMO)

test: setup
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# The same suite on OpenMMLab's last releases.
test-legacy: setup-legacy
	$(LEGACY_VENV)/bin/python -m pytest $(PYTEST_ARGS)

lint: setup
	$(BIN)/flake8 $(CODE)
	$(BIN)/isort --check-only --diff $(CODE)
	$(BIN)/yapf --diff --recursive $(CODE)

format: setup
	$(BIN)/isort $(CODE)
	$(BIN)/yapf --in-place --recursive $(CODE)

# Keeps data and results (data, work_dirs).
clean:
	rm -rf $(VENV) $(LEGACY_VENV) build dist *.egg-info intr_mm/.mim .pytest_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
