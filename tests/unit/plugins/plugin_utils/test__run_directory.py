# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils import _observation, _version
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ObservationError
from ansible_collections.sre.bad_gateway.plugins.plugin_utils import _run_directory
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord, RunDirectoryError

MOMENT = "2026-09-30T03:15:00.000001Z"


def unreachable(host: str, *, at: str = MOMENT) -> HostRecord:
    return HostRecord(host=host, status="unreachable", reason="no route to host", recorded_at=at)


@pytest.mark.parametrize("host", ["web1", "../../etc/cron.d/x", "a/b", "web 1", "::1", "hôte", ".."])
def test_a_record_comes_back_as_it_was_and_stays_inside_its_directory(tmp_path: Path, host: str) -> None:
    run = tmp_path / "run"
    path = _run_directory.write_record(run, unreachable(host))
    assert path.resolve().parent == (run / "observations").resolve()
    assert _run_directory.read_records(run) == {host: unreachable(host)}


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    path = _run_directory.write_record(tmp_path / "run", unreachable("web1"))
    for each in (path, path.parent, path.parent.parent):
        assert each.stat().st_mode & 0o077 == 0


def test_a_new_run_knows_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    _run_directory.write_record(tmp_path, unreachable("gone"))
    _run_directory.begin(tmp_path)
    _run_directory.write_record(tmp_path, unreachable("web1"))
    assert list(_run_directory.read_records(tmp_path)) == ["web1"]


def test_a_host_that_left_no_record_failed_and_the_others_keep_theirs(tmp_path: Path) -> None:
    _run_directory.begin(tmp_path)
    _run_directory.write_record(tmp_path, unreachable("web1"))
    _run_directory.account_for(tmp_path, ["web1", "web2"])
    records = _run_directory.read_records(tmp_path)
    assert records["web1"] == unreachable("web1")
    assert records["web2"].status == "failed"
    assert "left no observation" in records["web2"].reason
    assert _run_directory.run_id(records) == _run_directory.run_id(_run_directory.read_records(tmp_path))


def test_a_run_is_named_by_its_records_alone() -> None:
    records = {"a": unreachable("a"), "b": unreachable("b", at="2026-09-30T03:16:00.000000Z")}
    name = _run_directory.run_id(records)
    assert name.startswith("20260930T031500Z-")
    assert name == _run_directory.run_id(dict(reversed(list(records.items()))))
    assert name != _run_directory.run_id({"a": records["a"]})


def test_what_was_before_is_set_aside_once(tmp_path: Path) -> None:
    for text in ("first", "second"):
        _run_directory.write_record(tmp_path, unreachable("web1"))
        _run_directory.write_report(tmp_path, name="report.md", text=text)
        _run_directory.set_aside(tmp_path)
    assert (tmp_path / "before" / "report.md").read_text() == "second"
    assert sorted(_run_directory.read_records(tmp_path / "before")) == ["web1"]
    assert not (tmp_path / "observations").exists()
    assert not (tmp_path / "before" / "before").exists()


BROKEN = {
    "not json": ("{", "remove it or audit again"),
    "another program's": ('{"host": "web1", "colour": "red"}', "remove it or audit again"),
    "unknown status": ('{"host": "web1", "status": "asleep"}', "is none of ok, unreachable, failed"),
    "no observation": ('{"host": "web1", "status": "ok"}', "not an observation"),
    "newer schema": ('{"host": "web1", "status": "ok", "observation": {"schema": 99}}', "schema 99 is not 1"),
    "half": ('{"host": "web1", "status": "ok", "observation": {"schema": 1}}', "missing; audit the host again"),
}


@pytest.mark.parametrize(("text", "remedy"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_record_is_named_with_its_remedy(tmp_path: Path, text: str, remedy: str) -> None:
    path = tmp_path / "observations" / "web1.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises((RunDirectoryError, ObservationError)) as caught:
        _run_directory.read_records(tmp_path)
    assert str(path) in str(caught.value)
    assert remedy in str(caught.value)


def test_a_directory_without_observations_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no observations there"):
        _run_directory.read_records(tmp_path)


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunDirectoryError, match="bad_gateway_output_dir"):
        _run_directory.write_record(tmp_path / "file", unreachable("web1"))
    with pytest.raises(RunDirectoryError, match="bad_gateway_output_dir"):
        _run_directory.begin(tmp_path / "file")


def test_the_bridge_names_every_part_of_an_observation() -> None:
    whole: dict[str, object] = dict.fromkeys(_observation.Observation.__annotations__)
    whole["schema"] = _version.SCHEMA_VERSION
    assert _observation.checked(whole, source="x") == whole


def test_hosts_and_galaxy_know_the_same_version() -> None:
    galaxy = Path(_version.__file__).parents[2] / "galaxy.yml"
    assert f"\nversion: {_version.COLLECTION_VERSION}\n" in galaxy.read_text()
