# `make demo` and `make test` each do all their own set-up; see `make help`.
#
# Needs: python3 (3.10 to 3.13) with venv and headers, g++, cmake. No ROS: it comes from pip.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-packaging fault-table lint format train evaluate benchmark clean

# A sourced ROS installation, or another environment's, would mix its Python modules and libraries
# with those of .venv.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

PYTHON ?= python3
VENV   ?= .venv
# The CPU build, and never silently the CUDA one of several GB, which a bare "torch" would bring.
TORCH  ?= torch==2.13.0+cpu
# Tests at the same time; those in real time come in two groups, each one after the other (test/conftest.py)
JOBS   ?= 3
# More arguments for the command that the target runs, e.g. make test ARGS="-k triangulation -x"
ARGS   ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --no-input --quiet --no-warn-conflicts

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- set-up: each stamp is newer than everything it was made from ----

setup: $(VENV)/package.stamp  ## make .venv with pinned dependencies, messages built (done by the other targets when needed)

$(VENV)/venv.stamp:
	@fail() { echo "make: error: $$1" >&2; exit 1; }; \
	command -v $(PYTHON) >/dev/null || fail "$(PYTHON) not found: sudo apt install python3 python3-venv python3-dev, or make PYTHON=/path/to/python3"; \
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || fail "$(PYTHON) is $$($(PYTHON) --version), needed is 3.10 to 3.13: make PYTHON=/path/to/python3"; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || fail "$(PYTHON) cannot make virtual environments: sudo apt install python3-venv"; \
	$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || fail "the headers of $(PYTHON) are missing: sudo apt install python3-dev"; \
	command -v g++ >/dev/null || fail "g++ not found, it compiles the messages: sudo apt install g++"; \
	command -v cmake >/dev/null || fail "cmake not found, it builds the messages: sudo apt install cmake"
	@echo "make: creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/torch.stamp: $(VENV)/venv.stamp .ci/requirements/constraints.txt
	@echo "make: installing $(TORCH)"
	@$(PIP) -c .ci/requirements/constraints.txt "$(TORCH)" || { \
	  echo "make: error: pip found no $(TORCH). Either name an index or folder with PyTorch's CPU wheels (pytorch.org says which)," >&2; \
	  echo "  PIP_EXTRA_INDEX_URL=... make $(MAKECMDGOALS), or take another build, e.g. make $(MAKECMDGOALS) TORCH=torch==2.13.0 (CUDA, several GB)" >&2; exit 1; }
	@touch $@

$(VENV)/tools.stamp: $(VENV)/torch.stamp .ci/requirements/build.txt .ci/requirements/no-deps.txt
	@echo "make: installing the build tools, the detector's models and the demo's videos"
	@$(PIP) -c .ci/requirements/constraints.txt -r .ci/requirements/build.txt
	@$(PIP) --no-deps -r .ci/requirements/no-deps.txt
	@touch $@

PACKAGE_INPUTS := CMakeLists.txt package.xml pyproject.toml setup.py $(wildcard msg/*.msg)
$(VENV)/package.stamp: $(VENV)/tools.stamp $(PACKAGE_INPUTS)
	@echo "make: installing mvssm_ros with its dependencies and building its messages"
	@$(PIP) -c .ci/requirements/constraints.txt --no-build-isolation -e ".[dev]"
	@touch $@

# ---- what the package does ----

demo: setup  ## real 4-camera video -> ROS 2 -> skeletons; results in out/demo/ (OUT=folder RATE=hz); SOURCE=sim: simulated people (SCENARIO=name SEED=n)
	@$(BIN)/mvssm demo $(if $(SOURCE),--source "$(SOURCE)") $(if $(SCENARIO),--scenario "$(SCENARIO)") $(if $(SEED),--seed "$(SEED)") \
	  $(if $(OUT),--out "$(OUT)") $(if $(RATE),--rate "$(RATE)") $(ARGS)

train: setup  ## train an experiment of config/train: EXPERIMENT=name or file (keypoints); goes on where it was interrupted
	@$(BIN)/mvssm train $(EXPERIMENT) $(ARGS)

evaluate: setup  ## measure AP, recall and MPJPE on held-out synthetic rigs
	@$(BIN)/mvssm evaluate $(ARGS)

benchmark: setup  ## time every stage
	@$(BIN)/mvssm benchmark $(ARGS)

# ---- checks ----

test: setup  ## run the tests (those that need data which is absent say so and skip)
	@$(BIN)/pytest -n $(JOBS) $(ARGS)

test-packaging: setup  ## check pip install, pip install -e and colcon build in fresh environments (minutes)
	@$(BIN)/pytest -m packaging test/packaging $(ARGS)

fault-table: setup  ## provoke every fault on the real middleware and write test/faults/FAULTS.md
	@MVSSM_FAULT_TABLE=test/faults/FAULTS.md $(BIN)/pytest test/faults $(ARGS)

lint: setup  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup  ## let ruff format the code and fix what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:  ## remove the environment and all build products
	rm -rf $(VENV) build install log dist *.egg-info mvssm_ros/msg mvssm_ros/*.so
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
