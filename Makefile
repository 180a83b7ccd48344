# Every developer command in one file. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.set-up

.PHONY: help setup demo test lint types messages bench bench-serving bench-learning chaos soak sanitize security audit lock privacy clean
.DEFAULT_GOAL := help

help:  ## List these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(STAMP)  ## Build .venv with everything that demo, training and tests need

$(STAMP): pyproject.toml constraints.txt requirements-dev.lock
	@PYTHON="$(PYTHON)" sh ./setup.sh
	@touch $(STAMP)

demo: setup  ## Talk to the assistant in the browser: no account, no token (OPEN=1 opens the page, PORT=3010)
	@exec $(BIN)/bot demo --port $(or $(PORT),3010) $(if $(OPEN),--open)

test: setup  ## Pass the tests, two files at a time (ARGS="-k text" for some of them, JOBS=4 for more at a time)
	$(BIN)/python -m pytest --numprocesses $(or $(JOBS),2) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup  ## Check form and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup  ## Check the types, strictly
	$(BIN)/mypy

messages: setup  ## Bring the catalogues of the interface's languages up to date; then translate what is new in bot/locale
	@mkdir -p build
	$(BIN)/pybabel -q extract --no-location --sort-output --width 120 --output build/bot.pot bot
	$(BIN)/pybabel -q update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 120 -D bot -i build/bot.pot -d bot/locale
	$(BIN)/pybabel -q compile -D bot -d bot/locale

bench: setup  ## Measure what a user feels and print it beside the goals
	$(BIN)/python -m benchmarks.feel

bench-serving: setup  ## Measure the engine beside other servers (ARGS="--quick --llama-server PATH", or --help)
	$(BIN)/python -m benchmarks.serving $(ARGS)

bench-learning: setup  ## Measure the learning loop against its goals (ARGS="--quick", "recall taste", or --help)
	$(BIN)/python -m benchmarks.learning $(ARGS)

chaos: setup  ## Let everything go wrong and look for lost or doubled answers (ARGS="--messages 10000 --kills 1000", or --help)
	$(BIN)/python -m benchmarks.chaos $(ARGS)

soak: setup  ## Work steadily for an hour and see whether memory, files and latency stay (ARGS="--minutes 10", or --help)
	$(BIN)/python -m benchmarks.soak $(ARGS)

sanitize: setup  ## Look for wrong memory in llama.cpp while it is misused (AddressSanitizer; compiles it anew, half an hour)
	@[ -d build/asan ] || CMAKE_ARGS="-DLLAMA_SANITIZE_ADDRESS=ON -DGGML_SANITIZE_ADDRESS=ON" $(BIN)/python -m pip install \
	  --no-cache-dir --no-deps --no-binary llama-cpp-python --constraint constraints.txt --target build/asan llama-cpp-python
	LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	  PYTHONPATH=$(CURDIR)/build/asan $(BIN)/python -m pytest -s -p no:faulthandler -k "not supervisor" $(ARGS) \
	  tests/engine/test_misuse.py tests/engine/test_damaged_models.py tests/engine/test_starter_schedules.py

security: setup  ## Attack it in every way that we know and print what came of it (ARGS="--quick", "flood", or --help)
	$(BIN)/python -m benchmarks.security $(ARGS)

privacy: setup  ## Ask who could see, learn or bend what they must not, and print what came of it (ARGS="--quick", or --help)
	$(BIN)/python -m benchmarks.privacy $(ARGS)

audit:  ## Look for known holes, list licences, write the SBOM and lint the image; needs the network
	@PYTHON="$(PYTHON)" sh ./audit.sh

lock:  ## Write the locks anew after a change of pyproject.toml or constraints.txt; needs the network
	@PYTHON="$(PYTHON)" sh ./audit.sh --lock

clean:  ## Remove what was built; conversations under data/ stay
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
