# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""As many workers, and as long a queue, as suit a uWSGI or a pool of PHP-FPM's, or as were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _systemd, _unit_states
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._ini import sections, with_value
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, Plan, UnitAction
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._listening import wait
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._perform import perform
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._php_children import (
    spare_within,
    suitable_children,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._php_fpm_test import require_valid
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import read
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_override import text_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._worker_count import Count, Memory, suitable
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._worker_pools import (
    CapacityError,
    Pool,
    find_pool,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._writable import require_writable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._capacity import parse_meminfo
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import HIDDEN, is_secret_name, redact

MODULE = "app_capacity"
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")

#: As long as nginx's own and PHP-FPM's: a longer queue makes clients wait for what may never come.
_SUITABLE_BACKLOG = 511
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Wish:
    """What a unit's workers are to be."""

    unit: str
    endpoint: str | None = None  # which pool, where the unit has several
    workers: int | None = None  # None: as many as suit, and never less than are set
    backlog: int | None = None  # None: as long as suits, and never shorter than it is set
    activate: str = "reload"  # none | reload | restart
    timeout: float = 30.0

    def __post_init__(self) -> None:
        for name, value in (("workers", self.workers), ("backlog", self.backlog)):
            if value is not None and value < 1:
                raise CapacityError(f"{self.unit}: {value} {name} cannot be asked for; one is the least")


@dataclass(frozen=True)
class Setting:
    """What becomes of one setting."""

    name: str
    before: int | None  # None: nobody has set it, or it cannot be told
    after: int | None
    why: str

    @property
    def changes(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True)
class Outcome:
    """What became of the pool, or would in check mode."""

    unit: str
    settings: Sequence[Setting]
    edits: Sequence[Edit]
    action: str  # none | reload | restart
    pending: Sequence[str]  # what waits for a restart
    recovered: Sequence[str]

    @property
    def changes(self) -> list[str]:
        """For reports: what this did to the host."""
        action = [] if self.action == "none" else [f"{self.unit}: {self.action}"]
        return [*self.recovered, *(edit.path for edit in self.edits), *action]


def apply(wish: Wish, *, check_mode: bool, run_id: str = "") -> Outcome:
    """Make the pool's settings what they should be, and let its unit take them up."""
    with turn(module=MODULE, run_id=run_id, check_mode=check_mode) as recovered:
        _systemd.require_loaded(wish.unit)
        pool, most = find_pool(wish.unit, wish.endpoint), _longest_queue()
        settings = [_workers(wish, pool), _backlog(wish, pool, most)]
        settings += _spare(pool, settings[0])
        edits = _edits(pool, settings)
        action, pending = _action(wish, pool, settings, most)
        outcome = Outcome(
            unit=wish.unit, settings=settings, edits=edits, action=action, pending=pending, recovered=recovered
        )
        if check_mode:
            require_writable(edits)
        elif edits or action != "none":
            _make_so(wish, pool, outcome, run_id=run_id)
    return outcome


def differences(outcome: Outcome) -> list[Mapping[str, str]]:
    """Ansible's diff of every file."""
    return [
        {
            "before_header": edit.path,
            "after_header": edit.path,
            "before": _shown(edit.old),
            "after": _shown(edit.new),
        }
        for edit in outcome.edits
    ]


def _shown(content: bytes | None) -> str:
    """Without what else the file holds that is nobody's business: what the app is given in its environment."""
    return "".join(
        f"{name}={HIDDEN}{line[len(line.rstrip()) :]}" if _is_secret(name) else redact(line)
        for line, name in ((line, line.partition("=")[0]) for line in text_of(content).splitlines(keepends=True))
    )


def _is_secret(name: str) -> bool:
    return name.lstrip(" \t;#").startswith("env") or is_secret_name(name.strip())


def _workers(wish: Wish, pool: Pool) -> Setting:
    name = pool.names.workers[0]
    now = _number(pool, name)
    if wish.workers is not None:
        return _placed(pool, Setting(name, now, wish.workers, "asked for"), asked=True)
    if now is None:
        return Setting(name, None, None, "it cannot be told what it is now")
    suited = _suited(pool, now)
    if suited is None:
        return Setting(name, now, now, "it does not run, so nothing could be measured")
    if suited.workers <= now:
        return Setting(name, now, now, f"set to that; suitable are: {suited.why}")
    return _placed(pool, Setting(name, now, suited.workers, suited.why), asked=False)


def _suited(pool: Pool, now: int) -> Count | None:
    capacity, memory = pool.app["capacity"], _memory()
    if pool.app["kind"] == "php-fpm":
        return suitable_children(
            capacity,
            memory,
            now=now,
            elsewhere=pool.elsewhere,
            allowed=_whole(pool.app["settings"].get("process.max")) or None,
        )
    return suitable(capacity, memory, now=now)


def _backlog(wish: Wish, pool: Pool, most: int) -> Setting:
    """Never longer than the kernel gives: uWSGI then refuses to start, and PHP-FPM is not told."""
    name = pool.names.backlog[0]
    now = _number(pool, name)
    if not pool.app["binds"]:
        return Setting(name, now, now, "it does not make its socket itself; where a socket unit does, Backlog= counts")
    if wish.backlog is None and (now is None or now < 0):
        php = pool.app["kind"] == "php-fpm"  # unset it is 511, and from PHP 8.2 on what the kernel gives
        why = "not set, and long enough so" if php else "it cannot be told what it is now"
        return Setting(name, now, now, "as long as the kernel gives" if now else why)
    wanted = wish.backlog or max(now or 0, _SUITABLE_BACKLOG)
    after = min(wanted, most)
    if wish.backlog is None and pool.app["kind"] == "php-fpm":
        after = max(after, now or 0)  # it was set, and does no harm
    why = "asked for" if wish.backlog else "long enough" if after == now else "as long as nginx's own queue"
    if wanted > most:
        why = f"{wanted} {'are asked for' if wish.backlog else 'would suit'}, but net.core.somaxconn is {most}"
    return _placed(pool, Setting(name, now, after, why), asked=wish.backlog is not None)


def _spare(pool: Pool, workers: Setting) -> list[Setting]:
    if pool.app["kind"] != "php-fpm" or workers.after is None or not workers.changes:
        return []
    return [
        Setting(name, _number(pool, name), value, "not more than all children")
        for name, value in spare_within(workers.after, pool.settings).items()
    ]


def _placed(pool: Pool, setting: Setting, *, asked: bool) -> Setting:
    """The setting as it stays where it can only be changed by who set it; what was asked for has to be possible."""
    if not setting.changes:
        return setting
    try:
        pool.file_of(setting.name)
    except CapacityError as error:
        if asked:
            raise
        return Setting(setting.name, setting.before, setting.before, str(error))
    return setting


def _number(pool: Pool, name: str) -> int | None:
    return _whole(pool.settings.get(name))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _memory() -> Memory | None:
    try:
        told = parse_meminfo(_MEMORY.read_text("ascii"))
        return Memory(total=told["MemTotal"], available=told["MemAvailable"])
    except (OSError, ValueError, KeyError):
        return None


def _longest_queue() -> int:
    try:
        return int(SOMAXCONN.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise CapacityError(f"{SOMAXCONN}: {error}; how long a queue may be cannot be told") from error


def _edits(pool: Pool, settings: Sequence[Setting]) -> list[Edit]:
    """Of the files in which the settings are in force; PHP-FPM has accepted them then."""
    old: dict[str, bytes] = {}
    new: dict[str, str] = {}
    for setting in settings:
        if setting.changes and setting.after is not None:
            path = pool.file_of(setting.name)
            if path not in old:
                old[path] = _content(path)
                new[path] = old[path].decode("latin-1")
            new[path] = with_value(
                new[path],
                setting.after,
                section=pool.name or _section(path, new[path]),
                names=pool.names.of(setting.name),
                after=pool.names.beside,
            )
    if new and pool.app["kind"] == "php-fpm":
        require_valid(pool.argv, Path(pool.app["settings_from"]["pools"]), new)
    return [Edit(path=path, old=old[path], new=text.encode("latin-1")) for path, text in new.items()]


def _content(path: str) -> bytes:
    content = read(Path(path))
    if content is None:
        raise CapacityError(f"{path}: it was there a moment ago, and is gone; run again")
    return content


def _section(path: str, text: str) -> str:
    """Where uWSGI has its settings unless told otherwise; what is written is looked at again once it is in place."""
    there = sections(text)
    if "uwsgi" in there:
        return "uwsgi"
    if len(there) == 1:
        return there[0]
    raise CapacityError(f"{path}: it has {len(there)} sections and no [uwsgi], so the one in force cannot be told")


def _action(wish: Wish, pool: Pool, settings: Sequence[Setting], most: int) -> tuple[str, list[str]]:
    """(what to do with the unit, what has to wait for a restart). A queue keeps its length until then."""
    if not pool.app["pids"]:
        return "none", []
    backlog = settings[1]
    waiting = [backlog.name] if (backlog.changes if pool.backlog is None else _waits(backlog, pool, most)) else []
    fresh = [setting.name for setting in settings if setting.changes and setting.name not in waiting]
    if fresh and (wish.activate == "none" or _systemd.properties(wish.unit, "CanReload")["CanReload"] != "yes"):
        fresh, waiting = [], [*fresh, *waiting]
    if waiting and wish.activate == "restart":
        return "restart", []
    return "reload" if fresh else "none", waiting


def _waits(backlog: Setting, pool: Pool, most: int) -> bool:
    """Whether the queue has another length than the one that it is set to."""
    if backlog.after is None:
        return False
    return pool.backlog != (most if backlog.after < 0 else min(backlog.after, most))


def _make_so(wish: Wish, pool: Pool, outcome: Outcome, *, run_id: str) -> None:
    plan = Plan(
        module=MODULE,
        run_id=run_id,
        edits=outcome.edits,
        units=[UnitAction(wish.unit, outcome.action)] if outcome.edits else [],
        states=[] if outcome.action == "none" else _unit_states.before_start(wish.unit),
    )
    perform(
        plan,
        accept=partial(_require_in_force, wish, outcome),
        take_up=partial(_take_up, wish, pool.endpoints, outcome.action),
    )


def _require_in_force(wish: Wish, outcome: Outcome) -> None:
    pool = find_pool(wish.unit, wish.endpoint)
    for setting in outcome.settings:
        said = _number(pool, setting.name)
        if setting.changes and said != setting.after:
            raise CapacityError(
                f"{wish.unit}: taken back, {pool.sources.get(setting.name, 'something')} still says {said} for "
                f"{setting.name}, not {setting.after}; change it there"
            )


def _take_up(wish: Wish, endpoints: Sequence[str], action: str) -> None:
    if action != "none":
        _systemd.revive(action, wish.unit)
        wait(wish.unit, endpoints, timeout=wish.timeout)
