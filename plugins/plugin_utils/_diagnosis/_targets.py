# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx points at the wrong address: the right one is an app server that answers and that no route uses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, NamedTuple, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Probe
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import (
    Place,
    as_nginx_writes,
    covers,
    host_and_port,
    is_loopback,
    is_special_loopback,
    is_wildcard,
    key_of,
    overlap,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._beginning import served_before
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._bystanders import bystanders
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import (
    NOBODY_THERE,
    Explanation,
    Failure,
    Hit,
    affected,
    failure_evidence,
    places,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence, Finding, Fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._units import ended_well, is_active, is_looping


@dataclass(frozen=True, eq=False)
class Candidate:
    """A listener of an app server that could be what nginx was meant to reach."""

    app: AppServer
    key: str  # of the listener
    pass_to: str  # as nginx would write it
    proven: bool  # it answered the route's protocol when probed
    distance: int  # from what is written: 0 the very address, 1 all addresses of the host, 2 another way to it

    @property
    def is_certain(self) -> bool:
        """What kind of program an `other` is was not recognised: it may be a monitoring agent as well as an app."""
        return self.proven and self.app["kind"] != "other"


class _Doubts(NamedTuple):
    """What speaks against the only candidate."""

    contested: bool  # it could be meant for another dead address too
    dying: list[str]  # units that could be meant instead
    others: dict[str, Evidence]  # who may have started, or may need, either of the two
    served: list[Evidence]  # that the address was right while the candidate ran already


def wrong_upstream_address(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """Nothing listens, no app server is meant to, and one that answers has no route: it may be the right one."""
    found = [
        (failure, place, candidates)
        for failure, place in _addresses_of_nobody(fleet, remaining)
        if (candidates := _nearest(_candidates(fleet, failure, place)))
    ]
    # One app server is the right answer to one dead address, however many nginx ask for that, but not to two.
    claims = {
        (place.host, each.key, place.port, place.path) for _unused, place, candidates in found for each in candidates
    }
    claimed = Counter((host, key) for host, key, *_unused in claims)
    return [
        _explanation(
            fleet, failure, place, candidates, contested=any(claimed[place.host, each.key] > 1 for each in candidates)
        )
        for failure, place, candidates in found
    ]


def nobody_at_address(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The same cause where no app server is left that it could be."""
    return [
        _explanation(fleet, failure, place, [], contested=False)
        for failure, place in _addresses_of_nobody(fleet, remaining)
    ]


def fix_target(failure: Failure, *, pass_to: str | None, summary: str, candidates: Sequence[str] = ()) -> Fix | None:
    """What the role `proxy_pass` is told; without `pass_to` somebody has to fill it in. The values of variables are not
    its business."""
    if any(use.route["chosen"] for use in failure.uses):
        return None
    decided = {} if pass_to is None else {"pass_to": pass_to}
    return Fix(
        role="proxy_pass",
        automatic=pass_to is not None,
        summary=summary,
        variables={"proxy_pass_routes": [{**place, **decided} for place in _written_in(failure)]},
        candidates=tuple(candidates),
    )


def _addresses_of_nobody(fleet: Fleet, remaining: Sequence[Failure]) -> list[Hit]:
    return [
        Hit(failure, hits[0])
        for failure in remaining
        if failure.outcome in NOBODY_THERE
        and len(hits := places(fleet, failure)) == 1
        and not fleet.meant_for(hits[0])
        and not fleet.listeners(hits[0])
    ]


def _nearest(candidates: Iterable[Candidate]) -> list[Candidate]:
    """A port is mistaken more often than an address, and a monitoring agent listens on all addresses."""
    found = list(candidates)
    least = min((candidate.distance for candidate in found), default=0)
    return [candidate for candidate in found if candidate.distance == least]


def _candidates(fleet: Fleet, failure: Failure, place: Place) -> Iterator[Candidate]:
    for app in fleet.observations[place.host]["app_servers"]:
        for key in app["listens"] or _heard(fleet, place.host, app):
            pass_to, distance = _pass_to(failure, place, key), _distance(failure, key)
            proven = is_proven(fleet, place.host, key, failure.endpoint["protocol"])
            if pass_to is None or proven is None or distance is None or fleet.is_used(place.host, key):
                continue
            if _may_be_anything(app, key) and not proven:
                continue
            if _is_asked_for(fleet, failure, place, key):
                continue
            yield Candidate(app=app, key=key, pass_to=pass_to, proven=proven, distance=distance)


def _may_be_anything(app: AppServer, key: str) -> bool:
    """Any program may have a unix socket for its own ends, like the agents of ssh or a container engine."""
    return app["kind"] == "other" and key.startswith("unix:")


def _is_asked_for(fleet: Fleet, failure: Failure, place: Place, key: str) -> bool:
    """Tell whether another route names that port, if at a wrong address: then the app server is that one's."""
    port = None if key.startswith("unix:") else host_and_port(key)[1]
    return port is not None and any(
        use.endpoint["port"] == port
        and use.endpoint["key"] != failure.endpoint["key"]
        and place.host in fleet.owners(use)
        for use in fleet.uses
    )


def _heard(fleet: Fleet, host: str, app: AppServer) -> list[str]:
    """Where somebody listens as this app server is set to: who it is, only root sees."""
    listening = [
        key_of(each["address"], each["port"])
        for each in fleet.observations[host]["listeners"]
        if each["pid"] is None and each["unit"] is None
    ]
    return [key for key in listening if any(overlap(key, bind) for bind in app["binds"])]


def _distance(failure: Failure, key: str) -> int | None:
    """How far a listener is from what is written. Who writes 127.77.0.1 means that address; 127.0.0.1 is this host."""
    addresses = failure.endpoint["addresses"]
    if key.startswith("unix:"):
        return 2 if addresses else 0
    listening = host_and_port(key)[0]
    if listening in addresses:
        return 0
    if any(is_special_loopback(address) for address in addresses):
        return None
    return 1 if any(covers(listening, address) for address in addresses) else 2


def is_proven(fleet: Fleet, host: str, key: str, protocol: str) -> bool | None:
    """True: it answered that protocol; False: nobody asked it anything; None: it did not answer that protocol."""
    probes = [probe for probe in fleet.observations[host]["probes"] if _is_made(probe) and probe["endpoint"] == key]
    if not probes:
        return False
    return any(probe["outcome"] == "answered" and probe["protocol"] == protocol for probe in probes) or None


def _is_made(probe: Probe) -> bool:
    return probe["outcome"] != "not_probed"


def _pass_to(failure: Failure, place: Place, key: str) -> str | None:
    """Write a listener as nginx on the failure's host has to: None when nginx cannot reach it from there.

    The host stays as it is written where it leads to the listener, so that only the port changes.
    """
    is_local = place.host == failure.host
    if key.startswith("unix:"):
        return key if is_local else None
    listening, port = host_and_port(key)
    written, addresses = failure.endpoint["host"], failure.endpoint["addresses"]
    if written and addresses and all(covers(listening, address) for address in addresses):
        return as_nginx_writes(written, port)
    reachable = [address for address in addresses if covers(listening, address)]
    if not is_local:
        return as_nginx_writes(reachable[0], port) if reachable else None
    if is_wildcard(listening):
        return as_nginx_writes("127.0.0.1", port)
    return as_nginx_writes(listening, port)


def _explanation(
    fleet: Fleet, failure: Failure, place: Place, candidates: list[Candidate], *, contested: bool
) -> Explanation:
    doubts = _Doubts(
        contested=contested,
        dying=_dying(fleet, place.host) if candidates else [],
        others=bystanders(fleet, place.host),
        served=[each for one in candidates for each in served_before(fleet, failure, place.host, one.app)],
    )
    chosen = candidates[0] if len(candidates) == 1 and candidates[0].is_certain and not any(doubts) else None
    finding = Finding(
        cause="wrong_upstream_address",
        host=failure.host,
        subject=failure.endpoint["key"],
        severity=failure.severity,
        confidence=failure.confidence if chosen else "likely" if candidates and not any(doubts[1:]) else "possible",
        routes=affected(failure.uses),
        endpoint=failure.endpoint["key"],
        evidence=(
            *failure_evidence(fleet, failure),
            Evidence(
                kind="socket",
                text=f"nothing listens on {failure.endpoint['key']}, and no app server found on {place.host} is set to",
                source=place.host,
            ),
            *(_candidate_evidence(place.host, candidate) for candidate in candidates),
            *(_dying_evidence(place.host, name) for name in doubts.dying),
            *doubts.others.values(),
            *doubts.served,
            *_unreachable_evidence(fleet, failure, place),
        ),
        fix=_fix(failure, candidates, chosen, doubt=_doubt(candidates, doubts)),
    )
    app = (place.host, chosen.app["unit"]) if chosen and chosen.app["unit"] else None
    return Explanation(finding, (failure,), app=app)


def _fix(failure: Failure, candidates: list[Candidate], chosen: Candidate | None, *, doubt: str) -> Fix | None:
    if not candidates:
        return None
    key = failure.endpoint["key"]
    if chosen is not None:
        return fix_target(failure, pass_to=chosen.pass_to, summary=f"Pass to {chosen.pass_to} instead of {key}")
    values = sorted(candidate.pass_to for candidate in candidates)
    summary = f"Set pass_to of proxy_pass_routes to the right one of the candidates: {doubt}"
    return fix_target(failure, pass_to=None, summary=summary, candidates=values)


def _dying(fleet: Fleet, host: str) -> list[str]:
    """Units that should run and do not, and whose address could not be read: nginx's may be right, and they down."""
    names = {app["unit"] for app in fleet.observations[host]["app_servers"] if not app["binds_known"]}
    units = [fleet.unit(host, name) for name in names]
    return sorted(
        unit["name"]
        for unit in units
        if unit
        and (not ended_well(unit) or unit["unit_file_state"] == "enabled")
        and (not is_active(unit) or is_looping(fleet, host, unit))
    )


def _dying_evidence(host: str, name: str) -> Evidence:
    text = f"{name} does not run, and where it listens could not be read: it may be the one that is meant"
    return Evidence(kind="unit", text=text, source=host)


def _doubt(candidates: list[Candidate], doubts: _Doubts) -> str:
    if doubts.contested:
        return "other routes could be meant for the same app server"
    if doubts.dying:
        return f"or mend {', '.join(doubts.dying)}, if that is to listen there"
    if doubts.served:
        return "or start what listened there before, which is more likely"
    if len(candidates) != 1:
        return "several app servers have no route"
    if doubts.others and candidates[0].is_certain:
        return f"or look at {', '.join(doubts.others)} first, which may have to do with either of the two"
    return "what program it is was not recognised" if candidates[0].proven else "it was not probed"


def _candidate_evidence(host: str, candidate: Candidate) -> Evidence:
    unit = f" of {candidate.app['unit']}" if candidate.app["unit"] else ""
    proof = "answers this protocol" if candidate.proven else "was not probed"
    return Evidence(
        kind="socket",
        text=f"{candidate.app['kind']}{unit} listens on {candidate.key}{_set_by(candidate)}, {proof},"
        " and no route uses it",
        source=host,
    )


def _set_by(candidate: Candidate) -> str:
    """Where its address comes from, when that is a place which one overlooks: a PORT in the environment for example."""
    source = candidate.app["binds_from"]
    return f" (by {source})" if candidate.app["binds"] and source not in ("", "ExecStart") else ""


def _unreachable_evidence(fleet: Fleet, failure: Failure, place: Place) -> list[Evidence]:
    """App servers that only their own host can reach: the usual reason why a remote nginx is refused."""
    if place.host == failure.host:
        return []
    return [
        Evidence(
            kind="socket",
            text=f"{app['kind']} listens on {key}: only {place.host} itself can reach that",
            source=place.host,
        )
        for app in fleet.observations[place.host]["app_servers"]
        for key in app["listens"]
        if key.startswith("unix:") or is_loopback(host_and_port(key)[0])
    ]


def _written_in(failure: Failure) -> list[dict[str, Any]]:
    """Where the address is written: each route, or one route for each upstream block that holds it."""
    ordered = sorted(failure.uses, key=lambda use: (use.route["file"], use.route["line"]))
    written = {_place_of_address(use): use.route for use in reversed(ordered)}
    entries = [
        {"file": route["file"], "line": route["line"], "endpoint": failure.endpoint["key"]}
        for route in written.values()
    ]
    return sorted(entries, key=lambda entry: (entry["file"], entry["line"]))


def _place_of_address(use: Use) -> tuple[str, str, int]:
    """What is the same for routes that one edit corrects together."""
    if use.route["upstream"]:
        return (use.instance["id"], f"upstream {use.route['upstream']}", 0)
    return (use.instance["config"], use.route["file"], use.route["line"])
