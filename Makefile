# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CAPTION_VENV := .venv-caption
DEMO_DIR ?= demo_output

.PHONY: demo test lint install caption-env weights doctor gpu-box clean

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

# The published weights, into ./weights. WEIGHTS holds flags: make weights WEIGHTS="--weights_dir /models --sets vae,pcm"
weights: $(VENV)/installed
	$(BIN)/python -m deployments.weights $(WEIGHTS)

# Can this machine do a job? DOCTOR says which: make doctor DOCTOR="--engine propainter --width 1920 --height 1080"
doctor: $(VENV)/installed
	$(BIN)/python -m deployments.doctor $(DOCTOR)

# A box that works by itself, see docs/operations.md. BOX holds flags: make gpu-box BOX="--port 4300 --inbox /data/inbox"
gpu-box:
	$(PYTHON) deployments/install.py $(BOX)

clean:
	rm -rf $(VENV) $(CAPTION_VENV) $(DEMO_DIR) build *.egg-info
