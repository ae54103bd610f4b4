# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The quality gates. `make test` runs them all; each is a target of its own too.

They use the tools of .venv (see tests/setup.sh), except unit_host, which makes an environment with the oldest Python
that managed hosts may have.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox
import yaml

ROOT = Path(__file__).parent
WORK = ROOT / ".work"
COLLECTION = Path("ansible_collections/sre/bad_gateway")

nox.options.envdir = ".work/nox"
nox.options.error_on_missing_interpreters = False


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Ansible's, Python's and types' linters."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", str(WORK / COLLECTION / "plugins"), "tests", "noxfile.py")
    session.run("ansible-lint", "--offline", "--profile", "production", env={"ANSIBLE_COLLECTIONS_PATH": str(WORK)})


@nox.session(venv_backend="none")
def sanity(session: nox.Session) -> None:
    """ansible-test sanity of what is published, where it expects a collection to lie, without any ignore file."""
    checkout = _copy_tree(WORK / "sanity")
    home = WORK / "sanity" / "home"
    _bootstrap_pip_offline(home)
    with session.chdir(checkout):
        session.run("ansible-test", "sanity", "--color", "no", *session.posargs, env={"HOME": str(home)})


@nox.session(venv_backend="none")
def unit(session: nox.Session) -> None:
    """Unit tests, with the controller's Python."""
    session.run("pytest", "--quiet", *session.posargs)


@nox.session(python="3.8", venv_backend="venv")
def unit_host(session: nox.Session) -> None:
    """Unit tests of the code that runs on managed hosts, with the oldest Python that it supports."""
    session.install("--quiet", "pytest", "hypothesis", "-r", "requirements.txt")
    once = "tests/unit/plugins/module_utils/_change/test_kill_points.py"  # in `unit`: as long as all others together
    session.run("pytest", "--quiet", "--ignore", once, "tests/unit/plugins/module_utils", *session.posargs)


#: What takes minutes is begun before what takes one, so that two lanes end together.
LONGEST_FIRST = ("supervision", "upstream_firewall", "gunicorn_workers", "upstream_keepalive")

#: Twenty hosts, twenty turns under load, and every role once more: for `make molecule-long`, before a release.
LONG_SCENARIOS = {"fleet", "no_request_lost", "become"}


@nox.session(venv_backend="none")
def molecule(session: nox.Session) -> None:
    """Every Molecule scenario, on systemd hosts; the long ones when they are named."""
    _require_lab(session)
    scenarios = {path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")} - LONG_SCENARIOS
    failed = []
    for scenario in session.posargs or [*LONGEST_FIRST, *sorted(scenarios.difference(LONGEST_FIRST))]:
        if not _claim(scenario):
            continue
        try:
            session.run("molecule", "test", "--scenario-name", scenario, env=_molecule_environment())
        except nox.command.CommandFailed:  # the others may tell more
            failed.append(scenario)
    if failed:
        session.error(f"failed: {', '.join(failed)}")


@nox.session(venv_backend="none")
def faults(session: nox.Session) -> None:
    """The fault catalogue, or some of its entries, on systemd hosts."""
    _require_lab(session)
    session.run(sys.executable, "tests/faults", *session.posargs)


def _require_lab(session: nox.Session) -> None:
    command = [sys.executable, "tests/lab", "doctor", "--install"]
    doctor = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if doctor.returncode != 0:
        session.skip(" ".join(doctor.stdout.split()))


def _claim(scenario: str) -> bool:
    """Whether it is ours to play: lanes that run side by side share the scenarios, and each is played once."""
    claimed = os.environ.get("CLAIMED_SCENARIOS")
    if claimed is None:
        return True
    try:
        Path(claimed, scenario).mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def _molecule_environment() -> dict[str, str]:
    return {
        "ANSIBLE_COLLECTIONS_PATH": str(WORK),
        "ANSIBLE_INJECT_FACT_VARS": "false",
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
    }


def _copy_tree(directory: Path) -> Path:
    """Copy what git tracks, and what it would track, to a path that ends as a collection's must.

    What `build_ignore` keeps out of the collection stays here: ruff and mypy see to it.
    """
    target = directory / COLLECTION
    shutil.rmtree(target, ignore_errors=True)
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    left_out = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["build_ignore"]
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists() and Path(name).parts[0] not in left_out:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    subprocess.run(["git", "init", "--quiet"], cwd=target, check=True)
    subprocess.run(["git", "add", "--all"], cwd=target, check=True)
    return target


def _bootstrap_pip_offline(home: Path) -> None:
    """Let ansible-test take pip from Python itself instead of downloading it: not every machine reaches that site."""
    package = importlib.util.find_spec("ansible_test")
    if package is None or not package.submodule_search_locations:
        return
    requirements = Path(package.submodule_search_locations[0]) / "_internal" / "python_requirements.py"
    version = re.search(r"\bpip='([0-9.]+)'", requirements.read_text(encoding="utf-8"))
    if version is None:
        return
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    script = cache / f"get_pip_{version[1].replace('.', '_')}.py"
    script.write_text("import ensurepip\n\nensurepip.bootstrap()\n", encoding="utf-8")


def _search_path() -> str:
    """Tools of .venv first; pythons of pyenv themselves instead of its shims, which are there but may refuse to run."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    here = [part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != pyenv / "shims"]
    versions = (
        sorted(str(path) for path in pyenv.glob("versions/3.*/bin")) if os.access(pyenv, os.R_OK | os.X_OK) else []
    )
    return os.pathsep.join([str(Path(sys.executable).parent), *here, *versions])


os.environ["PATH"] = _search_path()
