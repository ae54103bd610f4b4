# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo: break a small fleet, audit it, remediate it, prove that it is healed and that nothing else was touched.

On systemd hosts where this machine can run them, else on an embedded fleet of plain processes. The fleet is left
running, to be looked at; `make demo-down` removes it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from lab import REQUESTS, EmbeddedFleet, Fleet, LabError, declared_fleet, gather_facts, judge

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
OUTPUT = ROOT / "bad_gateway_report"

WITHOUT_SYSTEMD = """\
What this leaves out: without systemd no app can be started, enabled or supervised, so the site whose app is down
stays down and the report says so; without root nginx's worker cannot be impersonated.
`python3 tests/lab doctor` says what systemd hosts need here."""


class DemoError(RuntimeError):
    """The demo did not go as it should; the message says what was expected."""


def main() -> int:
    """Run the demo, or take it down; 0 when everything went as announced."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--down", action="store_true", help="remove what the demo left running")
    parser.add_argument("--embedded", action="store_true", help="use the embedded fleet, whatever could run here")
    arguments = parser.parse_args()
    try:
        if arguments.down:
            _down()
        else:
            _show("embedded" if arguments.embedded or not _lab_can_run() else "demo")
    except (DemoError, LabError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def _down() -> None:
    declared_fleet("embedded").down()
    if not judge(gather_facts()):  # else there was never a systemd host here
        declared_fleet("demo").down()
    _say("The demo's fleets are gone. Images stay cached; `make clean` removes them too.")


def _lab_can_run() -> bool:
    _say("Can this machine run systemd hosts?")
    return subprocess.run([sys.executable, str(ROOT / "tests/lab"), "doctor", "--install"], check=False).returncode == 0


def _show(name: str) -> None:
    fleet = declared_fleet(name)
    kinds = {
        "demo": "systemd hosts; the first time their images are built",
        "embedded": "embedded",
    }
    _say(f"Bringing a broken fleet up ({kinds[name]})")
    fleet.down()
    fleet.up()

    _say("What clients get")
    _ask(name, fleet, healed=False)
    untouched = _fingerprint(fleet)

    _say("sre.bad_gateway.audit: what is wrong, and why?")
    _play("audit", fleet)

    _say("sre.bad_gateway.remediate: fix what has one right answer, and prove it")
    _play("remediate", fleet)
    _say("What clients get now")
    _ask(name, fleet, healed=True)

    _say("The same again: nothing is left to do")
    changed = _changed(_play("remediate", fleet, quiet=True))
    print(f"    changed={changed}")
    _require(changed == 0, "a second remediation changes nothing")
    _require(_fingerprint(fleet) == untouched, "the healthy site's configuration is the same to the byte")
    print("    the healthy site docs.example was not touched: same files, same processes")

    if name == "embedded":
        print(f"\n{WITHOUT_SYSTEMD}")
    _say(f"Done. The report: {OUTPUT / 'report.md'} (for programs: report.json). `make demo-down` removes the fleet.")


def _ask(name: str, fleet: Fleet | EmbeddedFleet, *, healed: bool) -> None:
    for request in REQUESTS[name]:
        expected = request.after if healed else request.before
        status = fleet.status(request.host, request.server_name)
        print(f"    GET http://{request.server_name}/ from nginx on {request.host}: {status}")
        _require(status == expected, f"{request.server_name} answers {expected}")


def _play(playbook: str, fleet: Fleet | EmbeddedFleet, *, quiet: bool = False) -> str:
    """Run one of the collection's playbooks as a user would, and return what it printed."""
    command = [str(BIN / "ansible-playbook"), "-i", str(fleet.inventory_path), f"sre.bad_gateway.{playbook}"]
    command += ["-e", f"bad_gateway_output_dir={OUTPUT}"]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".work"),
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
    }
    print(f"    $ ansible-playbook -i INVENTORY sre.bad_gateway.{playbook}", flush=True)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        lines = [_echo(line, quiet=quiet) for line in process.stdout or ()]
    _require(process.returncode == 0, f"the playbook {playbook} succeeds")
    return "".join(lines)


def _echo(line: str, *, quiet: bool) -> str:
    if not quiet:
        print(f"    {line}", end="", flush=True)
    return line


def _changed(output: str) -> int:
    return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", output))


def _fingerprint(fleet: Fleet | EmbeddedFleet) -> str:
    """All that serves the healthy site: the bytes of its configuration, and its app's processes."""
    if isinstance(fleet, Fleet):
        files = "/etc/nginx/nginx.conf /etc/nginx/sites-enabled/docs.example.conf /etc/systemd/system/docs.service"
        show = "systemctl show -P MainPID -P NRestarts -P ActiveEnterTimestamp docs.service"
        return fleet.run("web1", f"sha256sum {files}; {show}").stdout
    prefix = fleet.inventory_path.parent / "web1"
    server = (prefix / "nginx.conf").read_text().split("server_name docs.example;")[1]
    return server + (prefix / "docs.pid").read_text() + (prefix / "nginx.pid").read_text()


def _require(truth: bool, what: str) -> None:
    if not truth:
        raise DemoError(f"This should hold and does not: {what}. The fleet is left as it is; see {OUTPUT}/report.md")


def _say(text: str) -> None:
    print(f"\n[{time.strftime('%H:%M:%S')}] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
