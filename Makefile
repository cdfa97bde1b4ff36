# make demo: set up, then open napari on a sample project (under Xvfb where there is
#            no display; screenshots go to demo/).
# make test: set up, then all tests.
# make check: formatting, lint, types, manifest.
# make benchmark: rounds, acquisitions and live in full; QUICK=--quick makes it all
#            benchmarks in their quick form, with real data from ALSEG_DATA.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# The events of the window are tested under a second binding of Qt as well.
VENV6  := .venv-pyqt6
EVENTS := tests/ui/test_keys.py tests/ui/test_drops.py tests/ui/test_round.py
# Arguments of these are checked against their annotations, shapes and all.
SHAPES := tests/acquisition tests/regions
TYPED  := napari_alseg.acquisition,napari_alseg.regions,shapes.typechecker
SCREEN := -screen 0 1600x1000x24
XVFB   := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,xvfb-run -a -s "$(SCREEN)")
HEADLESS := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,--headless)
# Tests are small: processes of one thread each are faster than one of several.
THREADS  := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
PARALLEL := --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: demo test check benchmark clean

demo: $(VENV)/.installed
	$(XVFB) $(BIN)/napari-alseg demo --out demo $(HEADLESS)

test: $(VENV)/.tested-with $(if $(PYTEST),,$(VENV6)/.tested-with)
	$(THREADS) $(XVFB) $(BIN)/python -m pytest $(PARALLEL) $(PYTEST)
	$(if $(PYTEST),,$(THREADS) $(BIN)/python -m pytest --jaxtyping-packages=$(TYPED) $(SHAPES))
	$(if $(PYTEST),,$(THREADS) QT_API=pyqt6 $(XVFB) $(VENV6)/bin/python -m pytest $(EVENTS))

check: $(VENV)/.tested-with
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/npe2 validate napari-alseg

SHORT := round acquisition live
BENCHMARKS := $(SHORT) $(if $(QUICK),crf live_learning memory systems)

benchmark: $(VENV)/.tested-with
	missed=0; for name in $(BENCHMARKS); do \
	  $(XVFB) $(BIN)/python benchmarks/$$name.py $(QUICK) || missed=1; \
	done; exit $$missed

SETUP := pyproject.toml constraints.txt scripts/setup scripts/system-libraries

$(VENV)/.installed: $(SETUP)
	scripts/setup $(PYTHON) $(VENV) pyqt5
	touch $@

$(VENV6)/.installed: $(SETUP) $(VENV)/.installed
	scripts/setup $(PYTHON) $(VENV6) pyqt6
	touch $@

%/.tested-with: %/.installed
	$*/bin/python -m pip install --quiet -c constraints.txt --group dev
	touch $@

clean:
	rm -rf $(VENV) $(VENV6) demo build *.egg-info
