# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CAPTION_VENV := .venv-caption
DEMO_DIR ?= demo_output

.PHONY: demo test lint install caption-env clean

demo: $(VENV)/installed
	$(BIN)/python flows/demo.py --output_dir $(DEMO_DIR)

test: $(VENV)/installed
	$(BIN)/python -m pytest

lint: $(VENV)/installed
	$(BIN)/python -m pytest tests/test_lint.py

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# The captioner's own environment; flows find it by themselves.
caption-env: $(CAPTION_VENV)/installed

$(CAPTION_VENV)/installed: deployments/caption-env/requirements.txt
	$(PYTHON) -m venv $(CAPTION_VENV)
	$(CAPTION_VENV)/bin/python -m pip install --quiet --requirement $<
	touch $@

clean:
	rm -rf $(VENV) $(CAPTION_VENV) $(DEMO_DIR) build *.egg-info

# Can this box do a job? DOCTOR holds more flags, such as DOCTOR="--engine propainter --width 1920 --height 1080".
.PHONY: doctor
doctor:
	$(BIN)/python -m deployments.doctor $(DOCTOR)

# A box that runs by itself, see docs/operations.md. BOX holds flags, such as BOX="--port 4300 --inbox /data/inbox".
.PHONY: gpu-box
gpu-box:
	$(PYTHON) deployments/install.py $(BOX)

# The published weights, into ./weights. WEIGHTS holds flags, such as WEIGHTS="--weights_dir /models --sets vae,pcm".
.PHONY: weights
weights: $(VENV)/installed
	$(BIN)/python -m deployments.weights $(WEIGHTS)
