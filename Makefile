# Every command makes what it needs: a virtual environment in .venv with the project and its tools installed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PROTO_BIN := $(VENV)-proto/bin
# Files and folders whose prose is held to `python -m scripts.prose`.
PROSE := README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md deploy docs examples scripts benchmarks \
  proto client_sdk coordinator export simulator unmasker
PROTOS := $(wildcard proto/fedau2/v1/*.proto)

.PHONY: install demo test test-slow kill-test fuzz test-typescript demo-browser conformance lint bench bench-graphs benchmarks footprint compatibility \
  site house proto proto-typescript native clean
install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml proto/fedau2/__init__.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

# The native kernel, which fedau2-sim uses by itself where it is installed (docs/native.md).
native: install
	$(BIN)/pip install --quiet --force-reinstall --no-deps ./native

demo: install
	$(BIN)/fedau2-sim demo

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test-slow: install
	$(BIN)/python -m pytest -m slow

kill-test: install
	$(BIN)/python -m pytest -m slow tests/durability/test_kill.py tests/durability/test_hidden_kill.py tests/durability/test_masking_kill.py

fuzz: install
	$(BIN)/python -m pytest -m slow tests/durability/test_fuzz.py

# Without the graphics card's libraries, which the package of ONNX Runtime for Node would fetch.
typescript/node_modules: typescript/package-lock.json
	cd typescript && ONNXRUNTIME_NODE_INSTALL=skip npm ci
	touch $@

# A page on this machine in which the browser is a device, with a coordinator for it.
demo-browser: install typescript/node_modules
	cd typescript && npm run demo
	$(BIN)/python -m scripts.browser

test-typescript: install typescript/node_modules
	cd typescript && npm test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'slow or not slow' tests/typescript

conformance: install
	$(BIN)/python -m scripts.conformance

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	PYTHONPATH=.:proto $(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m scripts.prose $(PROSE)
	$(BIN)/mypy proto/fedau2/wire client_sdk export coordinator simulator unmasker examples/edge_app scripts benchmarks native/fedau2_native

bench: install
	$(BIN)/fedau2-sim bench

# Beside other frameworks, which it installs into build/benchmarks-work (docs/benchmarks.md).
benchmarks: native
	$(BIN)/python -m benchmarks --work build/benchmarks-work --out build/benchmarks

bench-graphs: install
	$(BIN)/fedau2-export bench

footprint: install
	$(BIN)/python scripts/footprint.py

compatibility: install
	$(BIN)/python -m scripts.compatibility

house: install
	$(BIN)/python -m scripts.house

site: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

proto: $(VENV)-proto/.installed
	$(PROTO_BIN)/python -m grpc_tools.protoc --proto_path=proto --plugin=protoc-gen-mypy=$(PROTO_BIN)/protoc-gen-mypy \
	  --plugin=protoc-gen-mypy_grpc=$(PROTO_BIN)/protoc-gen-mypy_grpc --python_out=proto --grpc_python_out=proto \
	  --mypy_out=quiet:proto --mypy_grpc_out=quiet:proto $(PROTOS)

# The messages of the TypeScript SDK.
proto-typescript: $(VENV)-proto/.installed typescript/node_modules
	$(PROTO_BIN)/python -m grpc_tools.protoc --proto_path=proto \
	  --plugin=protoc-gen-es=typescript/node_modules/.bin/protoc-gen-es --es_out=typescript/src/gen \
	  --es_opt=target=ts,import_extension=js $(addprefix proto/fedau2/v1/,device.proto task.proto secure.proto tensors.proto onnx.proto)

$(VENV)-proto/.installed: proto/requirements.txt
	test -x $(PROTO_BIN)/python || $(PYTHON) -m venv $(VENV)-proto
	$(PROTO_BIN)/pip install --quiet --requirement $<
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-proto .mypy_cache .ruff_cache .pytest_cache .hypothesis runs dist build
