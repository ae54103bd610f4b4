# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fix on the app server's side: the role `supervision`, and what it is told."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import NginxInstance, Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import Place, key_of
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import uses_of
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Hit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Fix

#: Settings of Restart= that revive a process which ended with an error.
REVIVING = ("always", "on-failure")

#: systemd's default pause between restarts: five failures take half a second, and then it gives up.
_NO_PAUSE = "100ms"

#: What `systemctl enable` changes. Units of init scripts, static ones and aliases are told elsewhere whether to start.
_NOT_AT_BOOT = ("disabled", "enabled-runtime", "linked", "linked-runtime")

_COUPLINGS = {
    "wants": "let {nginx_unit} start it and wait for it, but live on without it",
    "requires": "let {nginx_unit}, which has no other route, require it: it will stop and restart with it",
}


def start(fleet: Fleet, host: str, units: tuple[str, ...], hits: list[Hit], *, mend: str = "") -> Fix:
    """Start what does not run; `mend` says what somebody has to do first."""
    unit = fleet.unit(host, units[0])
    if unit is None or len(units) > 1:
        return choose_unit(fleet, units, hits, reason="Several units are set to listen there")
    entries = _entries(fleet, host, unit, _own_keys(fleet, hits), uses_of(hits))
    return _fix(unit, entries, first=f"start {unit['name']}", mend=mend)


def choose_unit(fleet: Fleet, units: tuple[str, ...], hits: list[Hit], *, reason: str) -> Fix:
    """Start one of several units: which one, somebody has to say."""
    return Fix(
        role="supervision",
        automatic=False,
        summary=f"{reason}: set unit of supervision_units to the right one of the candidates",
        variables={"supervision_units": [{"enabled": True, "listens": _own_keys(fleet, hits)}]},
        candidates=units,
    )


def restart(
    fleet: Fleet, host: str, unit: Unit, hits: list[Hit], *, mend: str = "", runtime_directory: str = ""
) -> Fix:
    """Restart what runs and does not listen where it should; `mend` says what somebody has to do first."""
    entries = _entries(fleet, host, unit, _own_keys(fleet, hits), uses_of(hits))
    if runtime_directory:
        entries = [{**entry, "runtime_directory": runtime_directory} for entry in entries]
    return _fix(unit, entries, first=f"restart {unit['name']} so that it makes its socket again", mend=mend)


def supervise(fleet: Fleet, host: str, unit: Unit, hits: list[tuple[Use, Place]]) -> Fix:
    """See to it that what runs now will run tomorrow."""
    keys = sorted({key for _unused, place in hits for key in _keys_at(fleet, place)})
    entries = _entries(fleet, host, unit, keys, [use for use, _unused in hits])
    return _fix(unit, entries, first="", mend=_why_not_revived(unit))


def _why_not_revived(unit: Unit) -> str:
    """Say why Restart= is not simply to be set, "" when it is."""
    if not _is_followed(unit):
        return (
            f"systemd follows no process of {unit['name']} and cannot revive it: give the app a unit that stays with it"
        )
    if unit["unrevived_by"]:
        return (
            f"{unit['unrevived_by']} says Restart=no: if that is not meant, set restart of supervision_units to always"
        )
    return ""


def start_nginx(unit: Unit) -> Fix:
    """Start an nginx that should run, and nothing else."""
    entry = {"unit": unit["name"], "enabled": True, "restart": "unchanged", "listens": [], "nginx_dependency": "none"}
    return _fix(unit, [entry], first=f"start {unit['name']}")


def _fix(unit: Unit, entries: list[dict[str, Any]], *, first: str, mend: str = "") -> Fix:
    trouble = mend or _why_not_startable(unit)
    return Fix(
        role="supervision",
        automatic=not trouble,
        summary=trouble or _in_words(unit, entries, first=first),
        variables={"supervision_units": entries},
    )


def _in_words(unit: Unit, entries: list[dict[str, Any]], *, first: str) -> str:
    """All that the role will do, couplings included."""
    name, entry = unit["name"], entries[0]
    deeds = [
        f"let systemd make /run/{entry['runtime_directory']} for it" if "runtime_directory" in entry else "",
        first,
        *_about_ends(unit, entry),
        f"enable {name} at boot" if unit["unit_file_state"] in _NOT_AT_BOOT else "",
        *(
            _COUPLINGS[one["nginx_dependency"]].format(**one)
            for one in entries
            if one["nginx_dependency"] in _COUPLINGS
        ),
    ]
    text = "; ".join(deed for deed in deeds if deed)
    return text[:1].upper() + text[1:]


def _about_ends(unit: Unit, entry: Mapping[str, Any]) -> list[str]:
    name = unit["name"]
    told = []
    if entry["restart"] != "unchanged":
        told.append(
            f"let systemd wait two seconds before each restart of {name}, so that it does not give up"
            if unit["restart"] in REVIVING
            else f"let systemd restart {name} whenever it ends"
        )
    if "oom_policy" in entry:
        told.append("let it live on when the kernel kills one of its processes for want of memory")
    return told


def _why_not_startable(unit: Unit) -> str:
    """Say why starting a unit is not the one right answer, "" when it is."""
    name = unit["name"]
    if unit["load_state"] != "loaded":
        return f"systemd cannot start {name} as it is (it is {unit['load_state']}): mend that first, then apply this"
    if unit["unit_file_state"] == "transient":
        return f"{name} is transient and cannot be enabled: give the app a unit file first"
    return ""


def _entries(fleet: Fleet, host: str, unit: Unit, listens: list[str], uses: Iterable[Use]) -> list[dict[str, Any]]:
    """What the role is told about one unit: an entry for each nginx on the host that is to know it, one at least."""
    entry = {
        "unit": unit["name"],
        "enabled": True,
        "restart": _restart(unit),
        "listens": listens,
    }
    if unit["result"] == "oom-kill" and unit["raw"].get("OOMPolicy") == "stop":
        entry["oom_policy"] = "continue"
    instances = {use.instance["id"]: use.instance for use in uses if use.host == host}
    dependencies = [
        {**entry, "nginx_unit": instance["unit"], "nginx_dependency": _dependency(fleet, host, instance, unit["name"])}
        for _unused, instance in sorted(instances.items())
        if _lacks(fleet.unit(host, instance["unit"]), unit["name"])
    ]
    return dependencies or [{**entry, "nginx_dependency": "none"}]


def _restart(unit: Unit) -> str:
    """What is to be said about Restart=, where it does anything; the role lets systemd wait before each restart unless
    nothing is."""
    if not unit["name"].endswith(".service") or not _is_followed(unit) or unit["unrevived_by"]:
        return "unchanged"
    if unit["restart"] not in REVIVING:
        return "always"
    return unit["restart"] if unit["raw"].get("RestartUSec") == _NO_PAUSE else "unchanged"


def _is_followed(unit: Unit) -> bool:
    """Of a daemon whose process it does not know, as of most old init scripts', systemd never learns that it died."""
    told = [unit["raw"].get(name) for name in ("Type", "PIDFile", "GuessMainPID")]
    return told != ["forking", "", "no"]


def _lacks(nginx: Unit | None, app: str) -> bool:
    return nginx is not None and not (app in nginx["after"] and app in nginx["wants"] + nginx["requires"])


def _dependency(fleet: Fleet, host: str, instance: NginxInstance, app: str) -> str:
    """`Requires=` ties nginx's stops and restarts to the app's: right only where nginx serves nothing else."""
    for route in instance["routes"]:
        uses = [use for use in fleet.uses if use.route is route]
        alone = uses and all(app in _apps_at(fleet, place) for use in uses for place in fleet.places(use))
        if not alone or any(fleet.owners(use) != (host,) for use in uses):
            return "wants"
    return "requires"


def _apps_at(fleet: Fleet, place: Place) -> set[str | None]:
    serving = fleet.app_behind(place)
    return {app["unit"] for app in ([serving] if serving else fleet.meant_for(place))}


def _own_keys(fleet: Fleet, hits: list[Hit]) -> list[str]:
    """The endpoints as the app's own host knows them: as its settings write them, else as nginx resolves them."""
    return sorted({key for hit in hits for key in _declared(fleet, hit.place) or _resolved(hit.place)})


def _declared(fleet: Fleet, place: Place) -> list[str]:
    return [key for app in fleet.meant_for(place) for key in app["binds"] if place.is_served_by(key)]


def _resolved(place: Place) -> list[str]:
    if place.path is not None:
        return [f"unix:{place.path}"]
    return [key_of(address, place.port) for address in place.addresses]


def _keys_at(fleet: Fleet, place: Place) -> list[str]:
    app = fleet.app_behind(place)
    return [key for key in app["listens"] if place.is_served_by(key)] if app else []
