# Needs Python 3.10+, git and make; everything else is installed into .venv from the hashed locks
# under requirements/, once for each content of a lock. Setting up speaks on standard error only.

MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench lock dev machine clean
.DELETE_ON_ERROR:

VENV := .venv
# The first Python that is new enough and can make an environment.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	if "$$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; \
	then echo "$$python"; break; fi; done)
PIP_INSTALL = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps
NOX = .ci/pythons $(VENV)/bin/python -m nox
IN_CI := $(filter 1 true yes,$(CI))

# A stamp is named after the content that it stands for: nothing changed, nothing is installed.
content = $(shell cat $(1) | cksum | tr ' ' -)
TOOLS := $(VENV)/.has-tools-$(call content,requirements/tools.txt)
DEMO := $(VENV)/.has-demo-$(call content,requirements/demo.txt)
DEV := $(VENV)/.has-dev-$(call content,requirements/dev.txt)
PROJECT := $(VENV)/.has-project-$(call content,pyproject.toml)

# Without NAME, every file that has the switch; the others are parts of these.
BENCHMARKS = $(if $(NAME),benchmarks/$(NAME).py,$(shell grep -l '"--json"' benchmarks/*.py))

# make demo ONCE=0 means without.
on = $(filter-out 0 no false,$($(1)))

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target text; do printf '%-12s %s\n' "$$target" "$$text"; done

demo: $(DEMO) $(PROJECT) ## count a real agent's tokens: ONCE=1 JSON=1 LIVE=1 FAULT=door
	@exec $(VENV)/bin/python -m tokenbeat.demo $(if $(call on,ONCE),--once) $(if $(call on,JSON),--json) \
		$(if $(call on,LIVE),--live) $(if $(FAULT),--fault=$(FAULT))

test: $(TOOLS) ## run every check: SESSION='lint types' runs some
	@rm -rf build/reports && mkdir -p build/reports
	@status=0; $(NOX) --report build/reports/nox.json \
		$(if $(IN_CI),--error-on-missing-interpreters,--no-error-on-missing-interpreters) \
		$(if $(SESSION),--session $(patsubst %,'%',$(SESSION))) || status=$$?; \
	$(VENV)/bin/python .ci/closing_line.py build/reports && exit $$status

lint: $(TOOLS) ## run ruff, the file rules, both type checkers and the import contracts
	@$(NOX) --session lint types contracts

docs: $(TOOLS) ## build the documentation into site/, broken links failing
	@$(NOX) --session docs

bench: $(DEV) $(PROJECT) ## measure: NAME=overhead runs one, JSON=1 prints numbers only
	@status=0; for file in $(BENCHMARKS); do \
		$(VENV)/bin/python "$$file" $(if $(call on,JSON),--json -) || status=1; done; exit $$status

lock: $(TOOLS) ## resolve the newest versions and write requirements/*.txt
	@$(NOX) --session lock

dev: $(TOOLS) $(DEV) $(PROJECT) ## set up .venv with everything, for an editor and focused tests
	@echo "$(VENV) has everything: $(VENV)/bin/pytest tests/ledger"

clean: ## remove what was made, the environments included
	rm -rf $(VENV) .nox build dist site

machine:
	@$(if $(IN_CI),.ci/machine)

$(VENV)/bin/pip: | machine
	@test -n "$(PYTHON)" || { echo "Python 3.10+ with venv is needed (Debian: python3-venv)" >&2; exit 1; }
	@echo "Making $(VENV)" >&2
	@$(VENV)/bin/python -c '' 2>/dev/null || rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) >&2

$(TOOLS) $(DEMO) $(DEV): $(VENV)/.has-%: | $(VENV)/bin/pip
	@name='$*'; name="$${name%%-*}"; echo "Installing requirements/$$name.txt" >&2; \
		$(PIP_INSTALL) --require-hashes -r "requirements/$$name.txt" >&2 && rm -f $(VENV)/.has-$$name-*
	@touch $@

# The build backend is in the locks of those who need the project itself, so nothing else is fetched.
$(PROJECT): | $(VENV)/bin/pip
	@$(PIP_INSTALL) --no-build-isolation --editable . >&2 && rm -f $(VENV)/.has-project-*
	@touch $@
