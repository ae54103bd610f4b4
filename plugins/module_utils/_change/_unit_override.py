# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drop-in of this collection for a unit: tested, put in place, and taken up as far as was asked for."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _systemd, _unit_states
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, Plan, UnitAction
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._listening import wait
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._perform import perform
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import read
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_files import (
    Override,
    render,
    validate_names,
    with_reset,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._writable import require_writable


@dataclass(frozen=True)
class Activation:
    """What lets a unit take its new drop-in up, and how to know that it did."""

    action: str = "none"  # none | reload | restart
    endpoints: Sequence[str] = ()
    timeout: float = 30.0


@dataclass(frozen=True)
class Outcome:
    """What applying an override did, or would do in check mode."""

    unit: str
    path: str
    recovered: Sequence[str]  # what a killed change had left, and what was done about it
    changed: bool = False
    before: str = ""  # when the drop-in did not exist
    after: str = ""  # when it does not exist any more
    reloaded: bool = False  # systemd was told to read its units again
    action: str = "none"  # or "reload" or "restart": what was done to the unit

    @property
    def changes(self) -> list[str]:
        """For reports: what this did to the host."""
        action = [] if self.action == "none" else [f"{self.unit}: {self.action}"]
        return [*self.recovered, *([self.path] if self.changed else []), *action]


def apply(override: Override, how: Activation, *, check_mode: bool, run_id: str = "") -> Outcome:
    """Make the drop-in say what it should, tested before it is in place; systemd reads it again if bytes changed."""
    validate_names(override)
    with turn(module="service_override", run_id=run_id, check_mode=check_mode) as recovered:
        if override.optional and not _systemd.is_known(override.unit):
            return Outcome(unit=override.unit, path=str(override.path), recovered=recovered)
        _systemd.require_loaded(override.unit)
        edit = edit_of(override)
        changed = edit.old != edit.new
        reload = changed or _systemd.properties(override.unit, "NeedDaemonReload")["NeedDaemonReload"] == "yes"
        if check_mode:
            require_writable([edit] if changed else [])
        elif changed:
            _replace(override, edit, how, run_id=run_id)
        elif reload:
            _systemd.daemon_reload()
    return Outcome(
        unit=override.unit,
        path=edit.path,
        recovered=recovered,
        changed=reload,
        before=text_of(edit.old),
        after=text_of(edit.new),
        reloaded=reload and not check_mode,
        action=how.action if changed else "none",
    )


def edit_of(override: Override) -> Edit:
    """What becomes of the drop-in; SystemdError when systemd would refuse what is new in it."""
    after = _text_for(override)
    edit = Edit(
        path=str(override.path),
        old=read(override.path),
        new=None if after is None else after.encode(),
        empty=(str(override.path.parent),),
    )
    if after is not None and edit.old != edit.new:
        _verify(override, after)
    return edit


def _text_for(override: Override) -> str | None:
    if not override.sections:
        return None
    _require_followed(override)
    if "ExecStart" not in override.sections.get("Service", {}):
        return render(override.sections)
    return render(with_reset(override.sections, type=_systemd.properties(override.unit, "Type")["Type"]))


def _require_followed(override: Override) -> None:
    """Of a daemon whose process systemd does not know it never learns that it died, as of most old init scripts'."""
    own = override.sections.get("Service", {})
    if "Restart" not in own or {"Type", "PIDFile", "GuessMainPID"} & set(own):
        return
    told = _systemd.properties(override.unit, "Type", "PIDFile", "GuessMainPID", "SourcePath")
    if (told["Type"], told["PIDFile"], told["GuessMainPID"]) == ("forking", "", "no"):
        made = f" (it is made from {told['SourcePath']})" if told["SourcePath"] else ""
        raise SystemdError(
            f"{override.unit}: systemd follows no process of it{made}, so Restart= would never start it again; "
            "let a unit of its own run the app in the foreground, or leave its restart unchanged"
        )


def text_of(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "backslashreplace")


def _verify(override: Override, text: str) -> None:
    """Let systemd judge the new drop-in, on a copy of the unit file, away from the live tree."""
    with tempfile.TemporaryDirectory(prefix="bad-gateway-") as directory:
        answer = _systemd.run(["systemd-analyze", "verify", "--man=no", _copy_unit(override, text, Path(directory))])
        problems = [
            line.replace(directory, _unit_states.ROOT)
            for line in answer.stderr.splitlines()
            if _is_about(override, line=line)
        ]
    if problems:
        shown = "; ".join(problems)
        raise SystemdError(f"{override.path}: systemd-analyze verify refuses it, nothing was changed: {shown}")


def _is_about(override: Override, *, line: str) -> bool:
    """Tell complaints about the drop-in from those about other units, which systemd-analyze reads along."""
    return override.path.name in line or (line.startswith(override.unit + ":") and "Refusing" in line)


def _copy_unit(override: Override, text: str, directory: Path) -> str:
    # systemd-analyze looks into the directory of the file it is given first, and finds the other drop-ins itself.
    fragment = _systemd.properties(override.unit, "FragmentPath")["FragmentPath"]
    if not fragment:
        raise SystemdError(f"{override.unit}: it has no unit file to test against (systemd itself makes it)")
    copy = directory / override.unit
    shutil.copyfile(fragment, copy)
    drop_ins = directory / f"{override.unit}.d"
    drop_ins.mkdir()
    (drop_ins / override.path.name).write_text(text, encoding="utf-8")
    return str(copy)


def _replace(override: Override, edit: Edit, how: Activation, *, run_id: str) -> None:
    """Write or remove the drop-in; where the unit does not live with that, what was there is put back."""

    def take_up() -> None:
        try:
            _systemd.daemon_reload()
            _systemd.require_loaded(override.unit)
            if how.action != "none":
                _systemd.revive(how.action, override.unit)
                wait(override.unit, how.endpoints, timeout=how.timeout)
        except SystemdError as error:
            raise SystemdError(f"{override.path}: taken back, {error}") from error

    plan = Plan(
        module="service_override",
        run_id=run_id,
        edits=[edit],
        units=[UnitAction(override.unit, how.action)],
        states=[] if how.action == "none" else _unit_states.before_start(override.unit),
    )
    perform(plan, accept=lambda: None, take_up=take_up)


def diff(outcome: Outcome) -> dict[str, str] | None:
    """Return Ansible's diff of the drop-in, None when its bytes stay."""
    if outcome.before == outcome.after:
        return None
    return {
        "before_header": outcome.path,
        "after_header": outcome.path,
        "before": outcome.before,
        "after": outcome.after,
    }
