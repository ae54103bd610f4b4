# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps nginx from a unix socket whose app server is not simply stopped: the path, the file, and the queue."""

from __future__ import annotations

import re
from typing import Iterable, Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import SocketFile, Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import Place
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import app_evidence, units_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._explain import explain
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import (
    Explanation,
    Failure,
    Hit,
    places,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence, Fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._queues import queue_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._supervision import restart
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._targets import fix_target
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._units import ended_well, is_active

#: Directories that PrivateTmp= replaces by private ones.
_TEMPORARY = ("/tmp/", "/var/tmp/")  # noqa: S108 - compared with, never written to

#: What a socket's path is followed by where colons or slashes were written wrongly.
_OVERRUN = re.compile(r"(?P<path>.+?\.sock(?:et)?)[:/].*|(?P<bare>[^:]+):")

_WRONG_TYPE = {
    20: "a part of the path is no directory",
    40: "the path is a loop of links",
    91: "the socket there is of another type",
}


def socket_path_syntax(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """A colon or a URI part was written so that it became part of the path."""
    found = []
    for failure, place in _at_paths(fleet, remaining, outcomes=("missing", "refused", "error")):
        meant = _meant_path(fleet, place)
        if meant is not None:
            found.append(_misspelt(fleet, failure, place, meant))
    return found


def runtime_dir_gone(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The socket's directory below /run is not there, and starting the unit does not make it."""
    found = []
    for hit in _at_paths(fleet, remaining, outcomes=("missing",)):
        file, unit = fleet.socket_file(hit.place), _unit_of(fleet, hit.place)
        if file is None or unit is None or not _in_run(file["missing_parent"]) or ended_well(unit):
            continue
        covered = _is_made_for(unit, str(file["missing_parent"]))
        if not covered or is_active(unit):
            found.append(_without_directory(fleet, hit, file, unit, covered=covered))
    return found


def socket_hidden_by_private_tmp(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The file lies in a /tmp that only one unit sees."""
    found = []
    for hit in _at_paths(fleet, remaining, outcomes=("missing", "refused")):
        evidence = _hiding(fleet, hit)
        if evidence:
            cause = "socket_hidden_by_private_tmp"
            found.append(explain(fleet, cause, [hit.failure], host=hit.place.host, evidence=evidence))
    return found


def socket_unlinked_by_old_instance(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """A process listens, but its file was taken away, and another instance is set to the same path."""
    found = []
    for hit in _at_paths(fleet, remaining, outcomes=("missing", "refused")):
        owner, others = _unit_of(fleet, hit.place), _other_instances(fleet, hit.place)
        if fleet.listeners(hit.place) and others and (_is_gone(fleet, hit.place) or _is_replaced(fleet, hit.place)):
            found.append(_lost_socket(fleet, "socket_unlinked_by_old_instance", hit, owner, others))
    return found


def socket_missing(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """No file at the path, although a running app server listens there, or should by its settings."""
    return [
        _lost_socket(fleet, "socket_missing", hit, _unit_of(fleet, hit.place), [])
        for hit in _at_paths(fleet, remaining, outcomes=("missing",))
        if _is_gone(fleet, hit.place) and _owners(fleet, hit.place)
    ]


def socket_wrong_type(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """What is at the path is no stream socket."""
    found = []
    for failure, place in _at_paths(fleet, remaining, outcomes=("error", "refused")):
        why = _type_of(fleet, failure, place)
        if why:
            evidence = Evidence(kind="socket", text=f"{place.path}: {why}", source=place.host)
            fix = fix_target(failure, pass_to=None, summary="Set pass_to of proxy_pass_routes to the app's own socket")
            found.append(explain(fleet, "socket_wrong_type", [failure], host=place.host, evidence=[evidence], fix=fix))
    return found


def socket_stale(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """A socket file on which no process listens, and no unit is known that should."""
    return [
        explain(
            fleet,
            "socket_stale",
            [failure],
            host=place.host,
            confidence="likely",
            evidence=[
                Evidence(
                    kind="socket",
                    text=f"{place.path}: a socket file on which no process listens"
                    + (f", of {file['owner']}" if file["owner"] else ""),
                    source=place.host,
                ),
                *app_evidence(fleet, [Hit(failure, place)]),
            ],
        )
        for failure, place in _at_paths(fleet, remaining, outcomes=("refused",))
        if (file := fleet.socket_file(place)) and file["is_socket"] and not file["listening"]
    ]


def selinux_unix_denied(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """A security module refuses what the permissions of the files allow."""
    found = []
    for failure, place in _at_paths(fleet, remaining, outcomes=("denied",)):
        capacity, file = fleet.observations[place.host]["capacity"], fleet.socket_file(place)
        told = [
            Evidence(
                kind="journal",
                text=f"{each['count']} x {each['module']} denied {each['permission']} to {each['process']}: "
                f"{each['sample']}",
                source=place.host,
            )
            for each in capacity["denials"]
            if each["permission"] in ("write", "connectto", "connect", "search") and _is_about(each["target"], place)
        ]
        enforcing = "enforcing" in (capacity["selinux"], capacity["apparmor"])
        open_to_nginx = file is not None and file["denied_at"] is None
        if told or (enforcing and open_to_nginx and failure.probe is not None and failure.probe["as_nginx"]):
            found.append(
                explain(
                    fleet,
                    "selinux_unix_denied",
                    [failure],
                    host=place.host,
                    confidence=None if told else "likely",
                    evidence=told or [_enforcing(place)],
                )
            )
    return found


def socket_permission(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """nginx's worker may not write to the socket, or not pass a directory on the way."""
    return [
        explain(
            fleet,
            "socket_permission",
            [hit.failure],
            host=hit.place.host,
            confidence=None if file and file["denied_at"] else "likely",
            evidence=[
                *_permission_evidence(hit, file),
                *units_evidence(fleet, hit.place.host, _named(_owners(fleet, hit.place))),
            ],
        )
        for hit in _at_paths(fleet, remaining, outcomes=("denied",))
        for file in [fleet.socket_file(hit.place)]
    ]


def unix_backlog_full(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The app server does not accept as fast as connections come, and its queue is full."""
    return [
        explain(
            fleet,
            "unix_backlog_full",
            [hit.failure],
            host=hit.place.host,
            evidence=[
                *queue_evidence(fleet, hit.place),
                *units_evidence(fleet, hit.place.host, _named(_owners(fleet, hit.place))),
            ],
        )
        for hit in _at_paths(fleet, remaining, outcomes=("queue_full",))
    ]


def _at_paths(fleet: Fleet, remaining: Iterable[Failure], *, outcomes: tuple[str, ...]) -> Iterator[Hit]:
    for failure in remaining:
        if failure.endpoint["transport"] == "unix" and failure.outcome in outcomes:
            yield from (Hit(failure, place) for place in places(fleet, failure))


# --- whose socket it is -----------------------------------------------------------------------------------------------


def _owners(fleet: Fleet, place: Place) -> list[str | None]:
    """Units of the app servers that listen on that path or are set to; None is an app server without a unit."""
    names = [listener["unit"] for listener in fleet.listeners(place)]
    running = [app for app in fleet.meant_for(place) if app["pids"] or is_active(fleet.unit(place.host, app["unit"]))]
    names += [app["unit"] for app in (running or fleet.meant_for(place))]
    return sorted(names, key=lambda name: name is None)


def _named(owners: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(name for name in owners if name))


def _unit_of(fleet: Fleet, place: Place) -> Unit | None:
    return next((unit for name in _owners(fleet, place) if (unit := fleet.unit(place.host, name))), None)


def _other_instances(fleet: Fleet, place: Place) -> list[str]:
    """Units that are set to the same path beside the one that listens there."""
    listening = {listener["unit"] for listener in fleet.listeners(place)}
    if None in listening:
        return []  # it may be any of them
    return sorted({app["unit"] for app in fleet.meant_for(place) if app["unit"] and app["unit"] not in listening})


# --- the path ---------------------------------------------------------------------------------------------------------


def _meant_path(fleet: Fleet, place: Place) -> str | None:
    """The path that the colon or the URI part was to end."""
    path = place.path or ""
    known = {each["address"] for each in fleet.observations[place.host]["listeners"] if each["transport"] == "unix"}
    known |= {
        key[len("unix:") :]
        for app in fleet.observations[place.host]["app_servers"]
        for key in app["binds"]
        if key.startswith("unix:")
    }
    for shorter in sorted(known, key=len, reverse=True):
        if path.startswith((f"{shorter}:", f"{shorter}/")):
            return shorter
    match = _OVERRUN.fullmatch(path)
    return (match["path"] or match["bare"]) if match and _is_gone(fleet, place) else None


def _misspelt(fleet: Fleet, failure: Failure, place: Place, meant: str) -> Explanation:
    rest = str(place.path)[len(meant) :]
    text = f"nginx takes {rest!r} as a part of the socket's path; the socket is {meant}"
    return explain(
        fleet,
        "socket_path_syntax",
        [failure],
        host=failure.host,
        evidence=[Evidence(kind="config", text=text, source=failure.host)],
        fix=_respelt(fleet, failure, place, meant, rest),
    )


def _respelt(fleet: Fleet, failure: Failure, place: Place, meant: str, rest: str) -> Fix | None:
    right = f"unix:{meant}"
    listening = any(each["address"] == meant for each in fleet.observations[place.host]["listeners"])
    if rest == ":" and listening:
        return fix_target(failure, pass_to=right, summary=f"Pass to {right}, without the colon")
    if rest == ":":
        summary = f"Set pass_to of proxy_pass_routes; nothing listens on {meant} either"
        return fix_target(failure, pass_to=None, summary=summary, candidates=[right])
    summary = (
        f"Write {right}:{rest.lstrip(':')} in the file to keep the URI part,"
        " or set pass_to of proxy_pass_routes to go without it"
    )
    return fix_target(failure, pass_to=None, summary=summary, candidates=[right])


# --- the file ---------------------------------------------------------------------------------------------------------


def _is_gone(fleet: Fleet, place: Place) -> bool:
    file = fleet.socket_file(place)
    if file is not None:
        return not file["exists"]
    return all(listener["file_exists"] is False for listener in fleet.listeners(place))


def _is_replaced(fleet: Fleet, place: Place) -> bool:
    listeners = fleet.listeners(place)
    return bool(listeners) and all(listener["file_is_this_socket"] is False for listener in listeners)


def _lost_socket(fleet: Fleet, cause: str, hit: Hit, unit: Unit | None, others: list[str]) -> Explanation:
    place = hit.place
    listens = bool(fleet.listeners(place))
    state = "still listens on the socket, but its file was removed" if listens else "runs, but its socket is not there"
    owner = unit["name"] if unit else "an app server without a unit"
    also = [Evidence(kind="config", text=f"{other} is set to the same path", source=place.host) for other in others]
    return explain(
        fleet,
        cause,
        [hit.failure],
        host=place.host,
        evidence=[
            Evidence(kind="socket", text=f"{place.path}: no such file; {owner} {state}", source=place.host),
            *also,
            *units_evidence(fleet, place.host, [*([unit["name"]] if unit else []), *others]),
            *app_evidence(fleet, [hit]),
        ],
        fix=restart(fleet, place.host, unit, [hit]) if unit else None,
        app=(place.host, unit["name"]) if unit else None,
    )


def _hiding(fleet: Fleet, hit: Hit) -> list[Evidence]:
    """Which unit's private /tmp hides the file; nothing when none does."""
    host, path = hit.place.host, hit.place.path or ""
    file, owners = fleet.socket_file(hit.place), _named(_owners(fleet, hit.place))
    if not path.startswith(_TEMPORARY):
        return []
    apps = [*(file["seen_by"] if file else []), *owners]
    instances = {use.instance["unit"] for use in hit.failure.uses if use.instance["unit"]}
    there = file is not None and file["exists"]
    # A file that the host has is hidden from nginx by nginx's own unit; one that it has not, by the app's.
    units = [fleet.unit(host, name) for name in dict.fromkeys(sorted(instances) if there else apps)]
    hidden = [unit["name"] for unit in units if unit and _has_private_tmp(unit)]
    return [
        Evidence(kind="unit", text=f"{name}: PrivateTmp=yes, so {path} is in a directory of its own", source=host)
        for name in hidden
    ]


def _has_private_tmp(unit: Unit) -> bool:
    private = unit["raw"].get("PrivateTmp", "no") not in ("no", "")
    return private or unit["raw"].get("DynamicUser") == "yes"


def _in_run(directory: str | None) -> bool:
    return directory is not None and directory.startswith(("/run/", "/var/run/"))


def _is_made_for(unit: Unit, directory: str) -> bool:
    """Tell whether systemd makes that directory when the unit starts."""
    name = directory[len("/var") :] if directory.startswith("/var/") else directory
    made = [f"/run/{each}" for each in unit["raw"].get("RuntimeDirectory", "").split()]
    return any(each == name or each.startswith(f"{name}/") for each in made)


def _without_directory(fleet: Fleet, hit: Hit, file: SocketFile, unit: Unit, *, covered: bool) -> Explanation:
    directory = str(file["missing_parent"])
    setting = unit["raw"].get("RuntimeDirectory") or "(none)"
    sharing = _sharing(fleet, hit.place.host, unit, directory) if covered else []
    # What is made for the unit is the socket's own directory, and what leads there.
    to_make = "" if covered else file["path"].partition("/run/")[2].rpartition("/")[0]
    return explain(
        fleet,
        "runtime_dir_gone",
        [hit.failure],
        host=hit.place.host,
        evidence=[
            Evidence(kind="socket", text=f"{file['path']}: there is no directory {directory}", source=hit.place.host),
            Evidence(kind="unit", text=f"{unit['name']}: RuntimeDirectory={setting}", source=hit.place.host),
            *sharing,
            *units_evidence(fleet, hit.place.host, [unit["name"]]),
            *app_evidence(fleet, [hit]),
        ],
        fix=restart(fleet, hit.place.host, unit, [hit], runtime_directory=to_make),
        app=(hit.place.host, unit["name"]),
    )


def _sharing(fleet: Fleet, host: str, unit: Unit, directory: str) -> list[Evidence]:
    return [
        Evidence(
            kind="unit",
            text=f"{other['name']} has the same RuntimeDirectory=: when it stops, the directory is removed",
            source=host,
        )
        for other in fleet.observations[host]["units"]
        if other["name"] != unit["name"] and _is_made_for(other, directory)
    ]


def _type_of(fleet: Fleet, failure: Failure, place: Place) -> str:
    number = failure.probe["errno"] if failure.probe else None
    if number in _WRONG_TYPE:
        return _WRONG_TYPE[number]
    file = fleet.socket_file(place)
    return "no socket, but another kind of file" if file and file["exists"] and not file["is_socket"] else ""


def _is_about(target: str, place: Place) -> bool:
    """Tell whether a denial is about that path; one that names nothing may be about anything."""
    return not target or target in str(place.path) or str(place.path).startswith(target)


def _enforcing(place: Place) -> Evidence:
    text = "a security module is enforcing, and the permissions of the files let nginx's worker pass"
    return Evidence(kind="capacity", text=text, source=place.host)


def _permission_evidence(hit: Hit, file: SocketFile | None) -> list[Evidence]:
    path = str(hit.place.path)
    user = hit.failure.probe["user"] if hit.failure.probe else "nginx's worker"
    at = (file["denied_at"] if file else None) or path
    what = f"{user} may not write to {at}" if at == path else f"{user} may not pass {at}, on the way to {path}"
    owned = f" (mode {file['mode']}, of {file['owner']})" if file and file["mode"] and at == path else ""
    behind = "what is behind that could not be seen: look again once it is mended"
    return [
        Evidence(kind="socket", text=f"{what}{owned}", source=hit.place.host),
        Evidence(kind="socket", text=behind, source=hit.place.host),
    ]
