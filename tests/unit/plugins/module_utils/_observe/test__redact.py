# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets that must not leave a host, and things that look like them and must stay."""

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import (
    is_secret_name,
    redact,
    redact_arguments,
    redact_environment,
    redact_log_line,
    redact_message,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:pa55@app:8000/x", "http://***@app:8000/x"),
        ("postgres://u:p@db/1 http://app/", "postgres://***@db/1 http://app/"),
        ("http://127.0.0.1:8000/a@b", "http://127.0.0.1:8000/a@b"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: ***"),
        ("cookie=session=1; a=b", "cookie=***"),
        ("X-Api-Key: k", "X-Api-Key: ***"),
        ("unix:/run/app.sock", "unix:/run/app.sock"),
    ],
)
def test_credentials_in_text(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_a_log_line_loses_its_query_strings_and_nothing_else() -> None:
    line = (
        'connect() failed (111: Connection refused), request: "GET /reset?token=s3cret HTTP/1.1", '
        'upstream: "http://127.0.0.1:8000/reset?token=s3cret", referrer: "https://u:p@example.com/?x=1"'
    )
    assert redact_log_line(line) == (
        'connect() failed (111: Connection refused), request: "GET /reset?*** HTTP/1.1", '
        'upstream: "http://127.0.0.1:8000/reset?***", referrer: "https://***@example.com/?***"'
    )


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("could not log in with password=hunter2, giving up", "could not log in with password=***, giving up"),
        ("KeyError: {'db_password': 'x', 'host': 'db'}", "KeyError: {'db_password': '***', 'host': 'db'}"),
        ("postgres://u:p@db/x refused API_KEY: abc", "postgres://***@db/x refused API_KEY: ***"),
        ("Perhaps out of memory?", "Perhaps out of memory?"),
        ("token bucket is empty", "token bucket is empty"),
    ],
)
def test_what_an_app_server_prints(line: str, shown: str) -> None:
    assert redact_message(line) == shown


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "--db-password",
        "SECRET_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "--auth",
        "API_TOKEN",
        "DB_PASS",
        "apiKey",
        "SENTRY_DSN",
    ],
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["PORT", "--keyfile", "--keep-alive", "--bind", "AUTHOR", "PATH", "bypass_cache", "--passenger"]
)
def test_names_that_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["app", "--password", "x", "--bind", "y"], ["app", "--password", "***", "--bind", "y"]),
        (["app", "--password=x=y"], ["app", "--password=***"]),
        (["env", "SECRET_KEY=abc", "PORT=1"], ["env", "SECRET_KEY=***", "PORT=1"]),
        (["app", "--token", "--verbose"], ["app", "--token", "--verbose"]),
        (["app", "redis://:pw@h/0"], ["app", "redis://***@h/0"]),
    ],
)
def test_arguments(arguments: list[str], shown: list[str]) -> None:
    assert redact_arguments(arguments) == shown


def test_environment() -> None:
    environment = {"PORT": "8000", "SECRET": "x", "GUNICORN_CMD_ARGS": "--statsd http://a:b@c"}
    assert redact_environment(environment) == {
        "PORT": "8000",
        "SECRET": "***",
        "GUNICORN_CMD_ARGS": "--statsd http://***@c",
    }
