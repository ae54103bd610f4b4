# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All hosts of a run joined: who owns an endpoint, what should answer there, which routes use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Mapping

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    AppServer,
    Endpoint,
    EndpointKey,
    Listener,
    NginxInstance,
    Observation,
    Probe,
    Route,
    SocketFile,
    Unit,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import (
    Place,
    is_loopback,
    key_of,
    overlap,
    place_of,
    where,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._index import Index
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord

_PROTOCOLS = {"uwsgi_pass": "uwsgi", "fastcgi_pass": "fastcgi", "scgi_pass": "scgi", "grpc_pass": "grpc"}


@dataclass(frozen=True, eq=False)
class Use:
    """One route's use of one endpoint."""

    host: str  # of the nginx
    instance: NginxInstance
    route: Route
    endpoint: Endpoint

    @property
    def route_key(self) -> tuple[str, str, str]:
        return (self.host, self.instance["id"], self.route["id"])

    @property
    def end(self) -> tuple[str, str]:
        return (self.host, self.endpoint["key"])

    @property
    def place_here(self) -> Place:
        """The endpoint as if it ended at nginx's own host."""
        return place_of(self.endpoint, self.host)

    def is_meant_by(self, key: EndpointKey | None) -> bool:
        """Tell whether a log means this endpoint: it holds the address that nginx chose, the endpoint may be a name."""
        return key is not None and (key == self.endpoint["key"] or self.place_here.is_served_by(key))

    @property
    def written_at(self) -> tuple[str, int, str]:
        """Sort key: file, line, and the route's id for the case that a file is included several times."""
        return (self.route["file"], self.route["line"], self.route["id"])


class Fleet:
    """The records of a run, indexed. Hosts that could not be looked at are in `unseen`."""

    def __init__(self, records: Mapping[str, HostRecord]) -> None:
        ordered = [records[name] for name in sorted(records)]
        self.observations: dict[str, Observation] = {
            record.host: record.observation for record in ordered if record.observation is not None
        }
        self.unseen: dict[str, HostRecord] = {record.host: record for record in ordered if record.observation is None}
        self._indexes = {host: Index(observation) for host, observation in self.observations.items()}
        self.uses: tuple[Use, ...] = tuple(self._all_uses())
        self._uses_at: dict[tuple[str, int | str | None], list[Use]] = {}
        for use in self.uses:
            self._uses_at.setdefault((use.host, use.place_here.where), []).append(use)
        self._owners = self._address_owners()

    def instances(self) -> Iterator[tuple[str, NginxInstance]]:
        """Every nginx that runs, or that should."""
        for host, observation in self.observations.items():
            for instance in observation["nginx"]:
                if self.is_wanted(host, instance):
                    yield host, instance

    def is_wanted(self, host: str, instance: NginxInstance) -> bool:
        """Tell whether an nginx runs or should. One whose unit is switched off is nobody's trouble, nor its routes."""
        unit = self.unit(host, instance["unit"])
        if instance["running"] or unit is None:
            return instance["running"] or not self._runs_otherwise(host, instance)
        wanted = unit["unit_file_state"].startswith("enabled") or unit["active_state"] in ("failed", "activating")
        return wanted and not self._runs_otherwise(host, instance)

    def uses_meant(self, host: str, key: EndpointKey | None) -> list[Use]:
        """What the nginx of a host uses at an address that its logs name."""
        at = self._uses_at.get((host, where(key)), []) if key else []
        return [use for use in at if use.is_meant_by(key)]

    def owners(self, use: Use) -> tuple[str, ...]:
        """The observed hosts at which the endpoint ends; none when no host that was looked at has its address."""
        endpoint = use.endpoint
        if endpoint["transport"] == "unix" or any(is_loopback(address) for address in endpoint["addresses"]):
            return (use.host,)
        hosts = {host for address in endpoint["addresses"] for host in self._owners_of(address, seen_from=use.host)}
        return tuple(sorted(hosts))

    def places(self, use: Use) -> list[Place]:
        return [place_of(use.endpoint, host) for host in self.owners(use)]

    def unit(self, host: str, name: str | None) -> Unit | None:
        return self._indexes[host].units.get(name)

    def meant_for(self, place: Place) -> list[AppServer]:
        """The app servers whose settings say that they listen there."""
        apps = self._indexes[place.host].meant.get(place.where, [])
        return [app for app in apps if any(place.is_served_by(key) for key in app["binds"])]

    def listeners(self, place: Place) -> list[Listener]:
        """Those in other network namespaces do not count, unless they have a path."""
        return [
            each
            for each in self._indexes[place.host].listeners.get(place.where, [])
            if (each["transport"] == "unix" or not each["network_namespace"])
            and place.is_served_by(key_of(each["address"], each["port"]))
        ]

    def foreign_listeners(self, place: Place) -> list[Listener]:
        """The listeners that would serve that place if they were not in another network namespace."""
        return [
            each
            for each in self._indexes[place.host].listeners.get(place.where, [])
            if each["transport"] == "tcp"
            and each["network_namespace"]
            and place.is_served_by(key_of(each["address"], each["port"]))
        ]

    def listeners_at(self, host: str, key: EndpointKey) -> list[Listener]:
        """The listeners that leave no room for another one at `key`."""
        return [
            each
            for each in self._indexes[host].listeners.get(where(key), [])
            if not each["network_namespace"] and overlap(key, key_of(each["address"], each["port"]))
        ]

    def app_behind(self, place: Place) -> AppServer | None:
        """The app server that serves that place now."""
        apps = self._indexes[place.host].serving.get(place.where, [])
        return next((app for app in apps if any(place.is_served_by(key) for key in app["listens"])), None)

    def socket_file(self, place: Place) -> SocketFile | None:
        files = self._indexes[place.host].socket_files.get(place.where, [])
        return next((file for file in files if place.is_served_by(f"unix:{file['path']}")), None)

    def probes(self, use: Use) -> list[Probe]:
        """The probes made of that endpoint, by preference as a worker of that very nginx."""
        made = self._indexes[use.host].probes.get((use.endpoint["key"], use.endpoint["protocol"]), [])
        return [probe for probe in made if probe["instance"] == use.instance["id"]] or made

    def is_used(self, host: str, key: str) -> bool:
        """Tell whether any route of the fleet ends at that listener."""
        return any(
            place.is_served_by(key) and self._share_a_stack(place.host, host)
            for use in self.uses
            for place in self.places(use)
        )

    def unseen_host(self, endpoint: Endpoint) -> HostRecord | None:
        """The host behind an endpoint that could not be looked at, as far as its name or address tells."""
        names = {(endpoint["host"] or "").lower(), *endpoint["addresses"]}
        return next((record for name, record in self.unseen.items() if _called(name) & names), None)

    def _runs_otherwise(self, host: str, instance: NginxInstance) -> bool:
        """Tell whether that same config is served by another master, started by hand for example."""
        instances = self.observations[host]["nginx"]
        return any(other["running"] and other["config"] == instance["config"] for other in instances)

    def _all_uses(self) -> Iterator[Use]:
        for host, instance in self.instances():
            for route in instance["routes"]:
                for key in route["endpoints"]:
                    endpoint = self._endpoint(host, key, route)
                    if endpoint is not None and not _is_down(instance, route, key):
                        yield Use(host=host, instance=instance, route=route, endpoint=endpoint)

    def _endpoint(self, host: str, key: str, route: Route) -> Endpoint | None:
        """The endpoint of that key in the route's protocol: one address may be spoken to in two."""
        endpoints = self._indexes[host].endpoints.get(key, [])
        protocol = _protocol(route)
        return next((each for each in endpoints if each["protocol"] == protocol), next(iter(endpoints), None))

    def _address_owners(self) -> dict[str, list[str]]:
        owners: dict[str, list[str]] = {}
        for host, observation in self.observations.items():
            for address in observation["host"]["addresses"]:
                if not is_loopback(address):
                    owners.setdefault(address, []).append(host)
        return owners

    def _owners_of(self, address: str, *, seen_from: str) -> list[str]:
        """The one host with that address. Addresses like a container bridge's exist on many: then it is one's own."""
        hosts = self._owners.get(address, [])
        if seen_from in hosts:
            return [seen_from]
        return hosts[:1] if all(self._share_a_stack(hosts[0], host) for host in hosts) else []

    def _share_a_stack(self, host: str, other: str) -> bool:
        """Tell whether two hosts of the inventory are one network stack under two names."""
        stack, others = (
            (info["boot_id"], info["network_namespace"])
            for info in (self.observations[name]["host"] for name in (host, other))
        )
        return host == other or (stack == others and all(stack))


def _is_down(instance: NginxInstance, route: Route, key: str) -> bool:
    """Tell whether the upstream's server is marked `down`: nginx never goes there."""
    servers = [
        server
        for upstream in instance["upstreams"]
        if upstream["name"] == route["upstream"]
        for server in upstream["servers"]
        if server["endpoint"] == key
    ]
    return bool(servers) and all("down" in server["parameters"] for server in servers)


def _protocol(route: Route) -> str:
    plain = _PROTOCOLS.get(route["directive"], "http")
    return f"{plain}s" if route["target"].startswith((f"{plain}s://", "https://")) else plain


def _called(name: str) -> set[str]:
    """How others may write a host of the inventory."""
    return {name.lower(), name.lower().split(".", 1)[0]} if not name[:1].isdigit() else {name}
