# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report for whoever is on call."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._json import Run
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._markdown import report_markdown
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._report._diagnoses import broken, healthy

RUN = Run("r1", "2026-09-30T03:15:00Z", "0.1.0")


class Unsafe(str):
    """A string that Ansible must not take for a template."""


class Loader(yaml.SafeLoader):
    """Reads playbooks as Ansible does."""


Loader.add_constructor("!unsafe", lambda loader, node: Unsafe(node.value))


def playbooks(report: str) -> list[Any]:
    return [yaml.load(block, Loader) for block in re.findall(r"^```yaml\n(.*?)^```$", report, re.DOTALL | re.MULTILINE)]


EXPECTED_BEGINNING = """\
# 502 Bad Gateway: 2 outages on 2 of 3 hosts; 1 host could not be looked at: db1

Run `r1`, started `2026-09-30T03:15:00Z`, collection `0.1.0`.

| # | severity | host | cause | endpoint | fix |
|---|---|---|---|---|---|
| 1 | outage | web1 | nginx points where no app server listens | tcp:127.0.0.1:8001 | automatic |
| 2 | outage | web2 | nginx points where no app server listens | tcp:127.0.0.1:8001 | to decide |

The pages that findings link to are in `docs/causes` of the installed collection, too.

What is automatic, on all hosts, first to look at it and then to do it:

```shell
ansible-playbook -i INVENTORY sre.bad_gateway.remediate --check --diff
ansible-playbook -i INVENTORY sre.bad_gateway.remediate
```

## 1. web1: nginx points where no app server listens

**outage**, certain. Cause `wrong_upstream_address`. Endpoint `tcp:127.0.0.1:8001`.
What it means and what to do: https://github.com/sre-bad-gateway/sre.bad_gateway/blob/main/docs/causes/wrong_upstream_address.md

Routes:

- `shop.example /1`, listen `80`, in `/etc/nginx/shop:1`

Evidence:

- probe: `tcp:127.0.0.1:8001: refused at connect, errno 111: Refused (tried 127.0.0.1:8001 as www-data)` (`web1`)
"""


def test_it_says_what_is_broken_and_how_it_is_known() -> None:
    assert report_markdown(broken(), RUN).startswith(EXPECTED_BEGINNING)


def test_fixes_are_playbooks_that_can_be_used() -> None:
    automatic, undecided = playbooks(report_markdown(broken(), RUN))
    role = {
        "role": "sre.bad_gateway.proxy_pass",
        "vars": {
            "proxy_pass_routes": [
                {"file": "/etc/nginx/shop", "line": 1, "endpoint": "tcp:127.0.0.1:8001", "pass_to": "127.0.0.1:8000"}
            ]
        },
    }
    assert automatic == [{"hosts": "web1", "become": True, "roles": [role]}]
    assert "pass_to" not in undecided[0]["roles"][0]["vars"]["proxy_pass_routes"][0]


NASTY = ["{{ lookup('pipe', 'id') }}", 'a"\n  evil: "b', "\\n", "```", "\x1b[2J", "ä\U0001f600", "{% x %}"]


@pytest.mark.parametrize("name", NASTY)
def test_a_file_name_stays_a_file_name(name: str) -> None:
    file = f"/etc/nginx/{name}"
    shown = playbooks(report_markdown(broken(file=file), RUN))[0][0]["roles"][0]["vars"]["proxy_pass_routes"][0]["file"]
    assert shown == file
    assert isinstance(shown, Unsafe) == ("{" in name)


@pytest.mark.parametrize(
    "name", ["x\n\n# Owned", "<script>alert(1)</script>", "| a | b |", "[x](http://evil)", "`x`\n\n## y"]
)
def test_nothing_from_a_host_becomes_markup(name: str) -> None:
    harmless, report = (report_markdown(broken(name=each, file=f"/{each}"), RUN) for each in ("x", name))
    for mark in (r"^#", r"^\|", r"^```", r"^- "):
        assert len(re.findall(mark, report, re.MULTILINE)) == len(re.findall(mark, harmless, re.MULTILINE)), mark
    outside_code = re.sub(
        r"(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"^```.*?^```$", "", report, flags=re.DOTALL | re.MULTILINE)
    )
    assert not re.search(r"(?<!\\)<|(?<!\\)\[|http://", outside_code)


def test_it_says_what_nobody_saw() -> None:
    report = report_markdown(broken(), RUN)
    assert "| db1 | unreachable, not looked at: timed out |  | 0 |\n" in report
    assert report.endswith(
        "\n## What could not be seen\n\n- web2: `error log /var/log/nginx/error.log: Permission denied`\n"
    )


def test_it_says_what_was_done() -> None:
    run = Run(
        "r", "s", "v", changed={"web1": ["/etc/nginx/shop"], "web2": []}, failed={"web2": "nginx -t failed", "web1": ""}
    )
    report = report_markdown(healthy(), run)
    assert "\n## What was changed\n\n- web1: `/etc/nginx/shop`\n\nTo take it back:\n" in report
    assert "\nansible-playbook -i INVENTORY sre.bad_gateway.rollback -e rollback_run_id=r\n" in report
    assert "\n## What could not be fixed\n\n- web2: `nginx -t failed`\n" in report


def test_it_says_what_was_healed() -> None:
    report = report_markdown(healthy(), Run("r", "s", "v", healed=broken().findings[:1]))
    healed = "- web1: nginx points where no app server listens (`wrong_upstream_address/web1/tcp:127.0.0.1:8001`)\n"
    assert f"\n## What was healed\n\n{healed}" in report


def test_a_healthy_fleet_is_short() -> None:
    assert report_markdown(healthy(), RUN) == (
        "# 502 Bad Gateway: no findings on 2 hosts\n\n"
        "Run `r1`, started `2026-09-30T03:15:00Z`, collection `0.1.0`.\n\n"
        "## Hosts\n\n"
        "| host | status | nginx | routes |\n|---|---|---|---|\n"
        "| plain | ok |  | 0 |\n| web1 | ok | 1.22.1 | 1 |\n"
    )
