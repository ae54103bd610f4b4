# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/sh
NOX := .venv/bin/nox --non-interactive
HOSTS ?= 20

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-down test lint sanity unit molecule molecule-long faults kill-points bench clean

help: ## list every target
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make the virtual environment .venv with all that the other targets need
	@tests/setup.sh

demo: setup ## show it: break a small fleet, audit it, remediate it, prove it
	@.venv/bin/python tests/demo.py

demo-down: setup ## remove what the demo left running
	@.venv/bin/python tests/demo.py --down

test: setup ## run every test; REQUIRE_LAB=1 turns what cannot run here into a failure
	@.venv/bin/python tests/run.py

lint: setup ## ansible-lint, ruff, mypy
	@$(NOX) -s lint

sanity: setup ## ansible-test sanity
	@$(NOX) -s sanity

unit: setup ## unit tests, also on the oldest Python that managed hosts may have
	@$(NOX) -s unit unit_host

molecule: setup ## one scenario per role and one for a fleet, on systemd hosts
	@$(NOX) -s molecule

molecule-long: setup ## the scenarios that take longest: 20 hosts, no request lost, every role through become
	@$(NOX) -s molecule -- fleet no_request_lost become

kill-points: setup ## kill a change, a recovery and a rollback at every step, and show what was found and repaired
	@.venv/bin/pytest --quiet -s tests/unit/plugins/module_utils/_change/test_kill_points.py

faults: setup ## break real hosts in every way and see which cause is named first; FAULTS="a b", AGAIN=1 without hosts
	@.venv/bin/python tests/faults $(if $(AGAIN),--again) $(FAULTS)

corpus: setup ## edit every nginx config below DIR=... in memory, and show which are served and which refused, and why
	@.venv/bin/python tests/corpus.py $(DIR) $(if $(NGINX),--nginx $(NGINX))

bench: setup ## what an audit costs, as ratios to a ping, to a hand-written playbook and to nginx -t; HOSTS=20
	@.venv/bin/python tests/bench/bench.py --hosts $(HOSTS)
	@.venv/bin/python tests/bench/bench.py --hosts $(HOSTS) --rtt 20
	@.venv/bin/python tests/bench/large.py

clean: setup ## take down the lab, remove its images and everything that was built here
	@.venv/bin/python tests/demo.py --down
	@-.venv/bin/python tests/lab clean
	@rm -rf .venv .work bad_gateway_report
