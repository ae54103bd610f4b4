# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes each role's README.md from what the role itself says: argument specs, tags, and an example that CI plays."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any, Iterator

import yaml

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = {
    "app_capacity": "molecule/app_capacity/converge.yml",
    "audit": "playbooks/audit.yml",
    "error_pages": "molecule/error_pages/converge.yml",
    "gunicorn_workers": "molecule/gunicorn_workers/converge.yml",
    "log_rotation": "molecule/log_rotation/converge.yml",
    "proxy_pass": "molecule/proxy_pass/converge.yml",
    "remediate": "playbooks/remediate.yml",
    "supervision": "molecule/supervision/converge.yml",
    "upstream_firewall": "molecule/upstream_firewall/converge.yml",
    "upstream_keepalive": "molecule/upstream_keepalive/converge.yml",
}
_MARKUP = re.compile(r"\b(?:B|C|I|M|O|RV|V)\((?P<text>(?:\\.|[^)\\])*)\)")


def main() -> int:
    """Write the pages, or with --check say which ones are not what they would be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is out of date")
    check = parser.parse_args().check
    stale = [role for role in roles() if not _is_current(role)]
    for role in [] if check else stale:
        page_path(role).write_text(page(role), encoding="utf-8")
    for role in stale:
        print(f"{page_path(role).relative_to(ROOT)}: {'out of date, run tests/role_docs.py' if check else 'written'}")
    return 1 if check and stale else 0


def roles() -> list[str]:
    return sorted(path.parents[1].name for path in ROOT.glob("roles/*/meta/argument_specs.yml"))


def page_path(role: str) -> Path:
    return ROOT / "roles" / role / "README.md"


def _is_current(role: str) -> bool:
    path = page_path(role)
    return path.exists() and path.read_text(encoding="utf-8") == page(role)


def page(role: str) -> str:
    """The whole page of a role."""
    spec = _load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]
    lines = [
        f"# sre.bad_gateway.{role}",
        "",
        f"<!-- Made by tests/role_docs.py from meta/argument_specs.yml and {EXAMPLES[role]}; do not edit. -->",
        "",
        f"{markdown(spec['short_description'])}.",
        *(line for paragraph in _paragraphs(spec) for line in ("", markdown(paragraph))),
        *("", "## Variables", "", "| variable | type | default | description |", "|---|---|---|---|"),
        *_rows(spec["options"], depth=0),
        *_tags(role),
        *("", "## Example", "", "```yaml", *_example(role), "```"),
    ]
    return "\n".join(lines) + "\n"


def markdown(text: str) -> str:
    """Ansible's markup as Markdown."""
    return _MARKUP.sub(lambda match: "`" + re.sub(r"\\(.)", r"\1", match["text"]) + "`", " ".join(text.split()))


def _rows(options: dict[str, Any], *, depth: int) -> Iterator[str]:
    for name, option in options.items():
        kind = f"list of {option['elements']}" if option.get("elements") else option["type"]
        default = "**required**" if option.get("required") else _value(option.get("default"))
        choices = [f"One of {', '.join(_value(each) for each in option['choices'])}."] if "choices" in option else []
        text = " ".join([*(markdown(each) for each in _paragraphs(option)), *choices])
        cells = [f"{'&emsp;' * depth}`{name}`", kind, default, text]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        yield from _rows(option.get("options", {}), depth=depth + 1)


def _paragraphs(described: dict[str, Any]) -> list[str]:
    text = described["description"]
    return [text] if isinstance(text, str) else list(text)


def _value(value: object) -> str:
    if value is None:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value or repr(value)}`"


def _tags(role: str) -> Iterator[str]:
    tags = {tag for path in (ROOT / "roles" / role / "tasks").glob("*.yml") for tag in _tags_of(_load(path))}
    if tags:
        yield from ("", "## Tags", "", f"{', '.join(f'`{tag}`' for tag in sorted(tags))}: every task of the role.")


def _tags_of(tasks: list[dict[str, Any]]) -> Iterator[str]:
    for task in tasks:
        yield from task.get("tags", [])
        yield from _tags_of(task.get("block", []))


def _example(role: str) -> list[str]:
    """The plays of the example that use the role, as they stand there."""
    text = (ROOT / EXAMPLES[role]).read_text(encoding="utf-8").split("---\n", maxsplit=1)[1]
    plays = re.split(r"\n\n(?=- name: )", text.strip("\n"))
    return "\n\n".join(play for play in plays if f"sre.bad_gateway.{role}\n" in f"{play}\n").splitlines()


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
