# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edits every nginx configuration under a directory, takes the edits back, and counts where not every byte came back.

    .venv/bin/python tests/corpus.py DIR [--nginx BINARY]

Taken are the files that crossplane accepts, each by itself: what it includes and is not there counts as empty. Every
route of a file gets a set of edits; doing them again has to change nothing, and taking them back has to give the
original bytes. With --nginx, files that `nginx -t` accepts before have to be accepted with the edits too. The files are
only read: the edits happen on copies.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Callable, Iterator

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".work"))

import crossplane  # noqa: E402

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError  # noqa: E402
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._document import Document  # noqa: E402
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._draft import Draft  # noqa: E402
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._entry import (  # noqa: E402
    apply_entry,
    entry_of,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._error_pages import (  # noqa: E402
    sweep_error_pages,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route  # noqa: E402
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._target import (  # noqa: E402
    group_of,
    servers_of,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, read_config  # noqa: E402
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import LexError, lex, to_text  # noqa: E402
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import Pass  # noqa: E402

NGINX = (1, 22, 1)
ELSEWHERE = "192.0.2.1:65001"
HEADER = "X-Corpus"

Entry = dict[str, Any]
Files = dict[str, bytes]

# What a file that is no whole configuration has to stand in, by a directive that it has at its top.
FRAMES = {
    "http": "{}",
    "stream": "{}",
    "server": "events {{}} http {{ {} }}",
    "upstream": "events {{}} http {{ {} }}",
    "map": "events {{}} http {{ {} }}",
    "location": "events {{}} http {{ server {{ {} }} }}",
    "listen": "events {{}} http {{ server {{ {} }} }}",
}
INNERMOST = "events {{}} http {{ server {{ location / {{ {} }} }} }}"


class NotServedError(Exception):
    """An edit that did not do what it has to."""


@dataclass
class Tally:
    files: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)  # for nginx too
    refused: dict[str, str] = field(default_factory=dict)  # by file
    routes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # of routes that are refused as they should be
    accepted: Counter[str] = field(default_factory=Counter)  # by nginx
    differences: list[str] = field(default_factory=list)  # of the lexers


@dataclass
class Sample:
    """A copy of one file, in a configuration of its own."""

    directory: Path
    source: bytes
    frame: str

    def __post_init__(self) -> None:
        self.file = self.directory / "sample"
        self.main = self.directory / "nginx.conf"
        head = f"error_log {self.directory}/e.log; pid {self.directory}/pid;\n"
        self.frame_text = (head + self.frame.format(f"include {self.file};")).encode()

    @property
    def original(self) -> Files:
        return {str(self.file): self.source, str(self.main): self.frame_text}

    def read(self, files: Files) -> Config:
        for file, data in files.items():
            Path(file).write_bytes(data)
        config = read_config(str(self.main), prefix=str(self.directory))
        missing = "No such file or directory"
        return config._replace(messages=tuple(one for one in config.messages if missing not in one["message"]))

    def edit(self, files: Files, wanted: Callable[[Route, int], Entry | None], *, back: bool) -> Files:
        """Apply an entry to every route, or take it back; routes that have to be refused are left out."""
        draft = Draft(self.read(files), version=NGINX)
        routes = {(one.directive.file, one.directive.name.start): one for one in draft.passes}
        numbered = list(enumerate(routes.values()))
        for number, one in reversed(numbered) if back else numbered:
            entry = wanted(Route(draft, one), number)
            if entry is not None:
                draft.begin(number)
                state = {"state": "absent"} if back else {}
                apply_entry(entry_of({"file": one.directive.file, "line": 1, **entry, **state}), Route(draft, one))
        if back:
            sweep_error_pages(draft)
        return {**files, **draft.results()}


def main() -> int:
    """Try every file, print the table; 1 when less than 99 % are served."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--nginx", metavar="BINARY", help="an nginx to ask with -t as well")
    arguments = parser.parse_args()
    tally = Tally()
    for path in sorted(path for path in arguments.directory.rglob("*") if path.is_file()):
        if accepted_by_crossplane(path):
            tally.files += 1
            try:
                judge(path, tally, nginx=arguments.nginx)
            except (ChangeError, NotServedError) as error:
                tally.refused[str(path.relative_to(arguments.directory))] = str(error)
    show(tally)
    return 0 if len(tally.refused) * 100 <= tally.files - len(tally.unreadable) else 1


def accepted_by_crossplane(path: Path) -> bool:
    try:
        return bool(crossplane.parse(str(path), single=True, check_ctx=False)["status"] == "ok")
    except (UnicodeDecodeError, StopIteration):
        return False


def judge(path: Path, tally: Tally, *, nginx: str | None) -> None:
    source = path.read_bytes()
    compare_lexers(path, source, tally)
    if not tally_whole(path, source, tally):
        return
    if Document("sample", source).result() != source:
        raise NotServedError("splicing nothing gave other bytes")
    with tempfile.TemporaryDirectory() as directory:
        sample = Sample(Path(directory), source, frame_of(source))
        routes = Draft(sample.read(sample.original)).passes
        tally.routes["all"] += len(
            {one.directive.name.start for one in routes if one.directive.file == str(sample.file)}
        )
        good = nginx is not None and tests_well(sample, sample.original, nginx)
        tally.accepted["before"] += good
        for name, wanted in sets_of(sample, tally):
            try:
                edited = round_trip(sample, wanted)
            except (ChangeError, NotServedError) as error:
                raise NotServedError(f"{name}: {error}") from error
            if good and nginx is not None and edited != sample.original:
                if not tests_well(sample, edited, nginx):
                    raise NotServedError(f"{name}: nginx -t does not accept the edited file: {said(sample, nginx)}")
                tally.accepted[name] += 1
        targets(sample, tally)


def tally_whole(path: Path, source: bytes, tally: Tally) -> bool:
    """Whether nginx's own token rules take the file."""
    try:
        list(lex(source, path.name))
    except LexError as error:
        tally.unreadable[path.name] = str(error)
        return False
    return True


def frame_of(source: bytes) -> str:
    names = [node.name for node in Document("sample", source).nodes]
    return next((frame for name, frame in FRAMES.items() if name in names), INNERMOST)


def round_trip(sample: Sample, wanted: Callable[[Route, int], Entry | None]) -> Files:
    edited = sample.edit(sample.original, wanted, back=False)
    if sample.edit(edited, wanted, back=False) != edited:
        raise NotServedError("doing it again changed something")
    back = sample.edit(edited, wanted, back=True)
    for file, data in sample.original.items():
        if back[file] != data:
            raise NotServedError(f"taking it back gave other bytes: {first_difference(data, back[file])}")
    return edited


def sets_of(sample: Sample, tally: Tally) -> Iterator[tuple[str, Callable[[Route, int], Entry | None]]]:
    """Entries for each route, made once from the original: only what is not there yet, so that it can be taken back."""
    draft = Draft(sample.read(sample.original), version=NGINX)
    routes = {(one.directive.file, one.directive.name.start): one for one in draft.passes}
    blocks: set[int] = set()
    upstreams, settings = [], []
    for number, one in enumerate(routes.values()):
        route = Route(draft, one)
        upstreams.append(upstream_entry(route, number, blocks, tally))
        settings.append(settings_entry(route))
    for reason in (entry for entry in upstreams if isinstance(entry, str)):
        tally.reasons[reason] += 1
    kept = [entry if isinstance(entry, dict) else None for entry in upstreams]
    yield "upstream", lambda _route, number: kept[number]
    yield "settings", lambda _route, number: settings[number]
    yield "both", lambda _route, number: {**settings[number], **(kept[number] or {})}


def upstream_entry(route: Route, number: int, blocks: set[int], tally: Tally) -> Entry | str | None:
    """An upstream block with keepalive, or keepalive in the one that is there; a text when it has to be refused."""
    keepalive = {} if route.prefix in ("uwsgi", "scgi") else {"keepalive": 16, "keepalive_timeout": "4s"}
    target = route.target
    if target.variables:
        return "variables in the target"
    group = group_of(route)
    if group is None and route.one.address is None:
        return "an upstream block that is in none of the files"
    if has_other_version(route):
        keepalive = {}  # would be changed, not added
    if group is None:
        return {"upstream": {"name": f"corpus_{number}", "server_parameters": {"max_fails": 2}, **keepalive}}
    has = {node.name for node in group.children}
    if id(group) in blocks or has & {"keepalive", "keepalive_timeout"} or not keepalive:
        return None
    blocks.add(id(group))
    return {"upstream": keepalive}


def has_other_version(route: Route) -> bool:
    """Whether the route itself says that connections are not to be kept."""
    header = [node.args[1].lower() for node in route.own("proxy_set_header") if node.args[0].lower() == "connection"]
    return header == ["close"] or [node.args for node in route.own("proxy_http_version")] == [["1.0"]]


def settings_entry(route: Route) -> Entry:
    own = {child.name.value for child in route.level.block or ()}
    times = {name: "7s" for name in ("connect", "send", "read") if f"{route.prefix}_{name}_timeout" not in own}
    entry: Entry = {"timeouts": times, "headers": {HEADER: 'a "b" $host; {'}, "error_pages": {"retry_after": 5}}
    buffers = {
        f"{route.prefix}_{name}" for name in ("buffer_size", "buffers", "busy_buffers_size", "temp_file_write_size")
    }
    if not buffers & own and route.value(f"{route.prefix}_temp_file_write_size") is None:
        entry["buffer_size"] = "32k"
    if f"{route.prefix}_next_upstream" not in own:
        entry["next_upstream"] = ["error", "timeout"]
    return entry


def targets(sample: Sample, tally: Tally) -> None:
    """Let every route lead elsewhere: but for the addresses, not one byte may change."""
    draft = Draft(sample.read(sample.original), version=NGINX)
    expected = {}
    for number, one in enumerate(
        {(one.directive.file, one.directive.name.start): one for one in draft.passes}.values()
    ):
        route = Route(draft, one)
        draft.begin(number)
        for endpoint in endpoints(route, one):
            apply_entry(entry_of({"file": "x", "line": 1, "pass_to": ELSEWHERE, "endpoint": endpoint}), route)
        expected[one.directive.args[0].start if one.directive.args else -1] = route
        if one.group is not None:
            expected.update({server.directive.args[0].start: route for server in one.group.servers})
    edited = draft.results().get(str(sample.file), sample.source)
    before, after = pieces(sample.source), pieces(edited)
    for (start, gap, word), (_start, gap_after, word_after) in zip_longest(before, after, fillvalue=(-1, b"", "")):
        if gap != gap_after or (word != word_after and start not in expected):
            raise NotServedError(f"target: another byte changed: {gap!r} {word!r} became {gap_after!r} {word_after!r}")
    tally.routes["targets changed"] += sum(1 for one in zip(before, after) if one[0][2] != one[1][2])


def endpoints(route: Route, one: Pass) -> list[str]:
    group = group_of(route)
    if group is None:
        return [] if one.address is None else [one.address.key]
    if len(servers_of(group)) != len(
        {server.address.key for server in one.group.servers if server.address} if one.group else ()
    ):
        return []
    return [address.key for address, _directive in one.ends if address.key != f"tcp:{ELSEWHERE}"] if one.group else []


def pieces(data: bytes) -> list[tuple[int, bytes, str]]:
    """Every word with the bytes before it."""
    found, position = [], 0
    for token, _line, _quoted in lex(data, "sample"):
        found.append((token.start, data[position : token.start], str(token)))
        position = token.end
    return [*found, (len(data), data[position:], "")]


def compare_lexers(path: Path, source: bytes, tally: Tally) -> None:
    try:
        ours = [(str(token), line) for token, line, _quoted in lex(source, str(path))]
    except LexError:
        return
    theirs = [(token, line) for token, line, _quoted in crossplane.lex(str(path))]
    theirs = [one for one in theirs if not one[0].startswith("#")]
    ours = [one for one in ours if not one[0].startswith("#")]
    for mine, other in zip_longest(ours, theirs):
        if mine is None or other is None or mine[0].encode("utf-8", "replace") != other[0].encode("utf-8", "replace"):
            line = (mine or other)[1]
            tally.differences.append(f"{path.name}:{line}: {_cut(mine)} here, {_cut(other)} by crossplane")
            return


def _cut(one: tuple[str, int] | None) -> str:
    return "nothing" if one is None else repr(one[0][:40])


def tests_well(sample: Sample, files: Files, nginx: str) -> bool:
    for file, data in files.items():
        Path(file).write_bytes(data)
    return _test(sample, nginx).returncode == 0


def said(sample: Sample, nginx: str) -> str:
    return next((line for line in _test(sample, nginx).stdout.splitlines() if "emerg" in line), "")


def _test(sample: Sample, nginx: str) -> subprocess.CompletedProcess[str]:
    command = [nginx, "-t", "-p", str(sample.directory), "-c", str(sample.main)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)


def first_difference(before: bytes, after: bytes) -> str:
    start = next((index for index, pair in enumerate(zip_longest(before, after)) if pair[0] != pair[1]), 0)
    begin = max(0, start - 30)
    return f"{to_text(before[begin : start + 60])!r} became {to_text(after[begin : start + 60])!r}"


def show(tally: Tally) -> None:
    readable = tally.files - len(tally.unreadable)
    served = readable - len(tally.refused)
    print(f"{'files that crossplane accepts':40}{tally.files:8}")
    print(f"{'files that nginx can read':40}{readable:8}")
    print(f"{'served: same bytes after every edit':40}{served:8}  {100 * served / max(readable, 1):.2f} %")
    print(f"{'routes':40}{tally.routes['all']:8}")
    print(f"{'addresses changed':40}{tally.routes['targets changed']:8}")
    for name, count in tally.accepted.items():
        print(f"{f'nginx -t accepts, {name}':40}{count:8}")
    for reason, count in tally.reasons.items():
        print(f"{f'routes refused: {reason}':60}{count:8}")
    print(f"\n{len(tally.refused)} files not served")
    for name, reason in tally.refused.items():
        print(f"  {name}: {reason}")
    print(f"\n{len(tally.unreadable)} files that crossplane accepts and nginx's token rules do not")
    for reason in tally.unreadable.values():
        print(f"  {reason}")
    print(f"\n{len(tally.differences)} files that crossplane's own lexer reads differently")
    for difference in tally.differences:
        print(f"  {difference}")


if __name__ == "__main__":
    sys.exit(main())
