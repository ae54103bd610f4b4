# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signals that ask for an end, as failures: what was begun is then put back like after any other."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from types import FrameType
from typing import Any, Callable, Iterator

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import StoppedError

_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def ends_raise() -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP raise StoppedError here."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise StoppedError(f"{signal.Signals(number).name} stopped the change")

    with _handled_by(stop):
        yield


@contextmanager
def ends_wait() -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP do nothing here: putting back is not left half done."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what signals do
        return
    before = {number: signal.signal(number, handler) for number in _ENDS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
