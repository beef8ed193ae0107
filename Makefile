# Every target works from nothing: missing system packages are asked for by name (YES=1 answers),
# the Python environment is made on the spot. Recipes exec, so that a signal reaches what they run.

PYTHON := .venv/bin/python
SETUP := sh tests/lab/setup.sh
ROOT := $(shell test "$$(id -u)" = 0 || echo sudo env "PATH=$$PATH" PYTHONDONTWRITEBYTECODE=1)
OURS := .lab .pytest_cache .hypothesis

.PHONY: demo test test-cgroup2 chaos check docs pictures bench fuzz clean

demo:  ## real rows of real containers, through real SSH, in a real QuestDB
	@$(SETUP) demo .demo/venv
	@exec env PYTHONDONTWRITEBYTECODE=1 .demo/venv/bin/python -m tests.lab.demo

test:  ## all tests, on real parts; ARGS="-k something" for some, ARGS="-n 0" for one at a time
	@$(SETUP) test .venv
	@exec $(ROOT) $(PYTHON) -m pytest -n 2 --dist loadfile $(ARGS)

test-cgroup2:  ## what is read on cgroup v2 is what Docker says, in an emulated guest
	@$(SETUP) guest .venv
	@exec $(ROOT) $(PYTHON) -m tests.guest $(ARGS)

chaos:  ## 200 runs among kills, freezes and power cuts; ARGS="--runs 20 --seed 1"
	@$(SETUP) test .venv
	@exec $(ROOT) $(PYTHON) -m tests.chaos $(ARGS)

check:  ## lint, format, types, packaging, the manual's links
	@$(SETUP) check .venv
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy -p fleet -p tests.lab -p tests.chaos -p tests.guest
	$(PYTHON) -m tests.check_package
	$(PYTHON) -m tests.check_site

docs:  ## the manual as a site, in build/site
	@$(SETUP) check .venv
	@exec $(PYTHON) -m mkdocs build --strict

pictures:  ## docs/pictures: terminals of real runs (ARGS="hosts check" for some), and a report
	@$(SETUP) test .venv
	@$(ROOT) $(PYTHON) -m tests.lab.pictures $(ARGS)
	@$(ROOT) $(PYTHON) -m tests.lab.screenshots

bench:  ## fleet beside others, all of it some hours: benchmarks/RESULTS.md; ARGS="race --hosts 200"
	@$(SETUP) bench .venv
	@exec $(ROOT) $(PYTHON) -m benchmarks $(ARGS)

fuzz:  ## a million lines of docker stats
	@$(SETUP) check .venv
	$(PYTHON) -m tests.sources.fuzz_docker --count 1000000

clean:  ## everything that the targets made here
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m tests.lab.ledger .lab .demo; fi
	rm -rf .venv .demo $(OURS) .mypy_cache .ruff_cache build dist
	find fleet tests -name __pycache__ -type d -prune -exec rm -rf {} +
