# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One transaction: recorded, written whole, taken up, and taken back when any of that fails."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Callable, Collection, Iterator, Sequence, TypeVar

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _journal
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import (
    ChangeError,
    InterferenceError,
    WriteError,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, Journal, Plan
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._recovery import restore
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import (
    install,
    read,
    remove,
    remove_empty,
    stage,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._signals import ends_raise
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._writable import require_writable

T = TypeVar("T")

_REMEDIES = {
    errno.EBUSY: "it is a mount point, change it where it is mounted from",
    errno.ENOSPC: "make space on its file system",
    errno.EDQUOT: "the owner's quota is used up",
    errno.EROFS: "its file system is read-only, mount it writable or change it where it comes from",
}


def perform(plan: Plan, *, accept: Callable[[], None], take_up: Callable[[], T]) -> T:
    """Make all edits, or none: ChangeError then says why, and everything is as it was.

    `accept` may still refuse the files in place; `take_up` lets nginx and systemd read them and judges the outcome.
    """
    edits = _ordered(plan.edits)
    for edit in edits:
        _require_unedited(edit)
    require_writable(edits)
    touched: list[int] = []
    with ends_raise():
        journal = _journal.prepare(Plan(**{**plan.__dict__, "edits": edits}))
        try:
            _write(journal, edits, touched)
            accept()
            journal.mark("applied")
            outcome = take_up()
            journal.mark("committed")
        except BaseException as error:
            _take_back(journal, touched, error)
            raise
    with suppress(ChangeError, OSError):  # the change is made; old records can wait for the next one
        _journal.sweep()
    return outcome


def _ordered(edits: Sequence[Edit]) -> list[Edit]:
    """What others may refer to comes first, and goes last: nginx can read every state in between."""
    return sorted(edits, key=lambda edit: (edit.old is not None) + (edit.new is None))


def _write(journal: Journal, edits: Sequence[Edit], touched: list[int]) -> None:
    """First everything that needs space and permissions, then the renames, one right after the other."""
    for number, edit in enumerate(edits):
        if edit.new is not None:
            with _named(edit):
                stage(journal.temporary(number), edit.new, edit.wanted or journal.record.files[number].attributes)
    for number, edit in enumerate(edits):
        _require_unedited(edit)
        touched.append(number)
        with _named(edit):
            _put(edit, journal.temporary(number), Path(journal.record.files[number].real))


def _put(edit: Edit, temporary: Path, real: Path) -> None:
    if edit.new is not None:
        install(temporary, real)
        return
    remove(real)
    for directory in edit.empty:
        remove_empty(Path(directory))


def _require_unedited(edit: Edit) -> None:
    if read(Path(os.path.realpath(edit.path))) != edit.old:
        raise InterferenceError(f"{edit.path}: somebody edited it in the meantime; nothing was kept, run again")


@contextmanager
def _named(edit: Edit) -> Iterator[None]:
    """Any trouble of the system's is told with the file's name and the remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "it has to be writable, its directory too")
        raise WriteError(f"{edit.path}: {error.strerror}; {remedy}") from error


def _take_back(journal: Journal, touched: Collection[int], error: BaseException) -> None:
    try:
        told = restore(journal, touched, activate=journal.state != "prepared")
    except (ChangeError, OSError) as failure:
        raise ChangeError(f"{error} But not all could be put back: {failure}") from error
    if told and isinstance(error, ChangeError):
        error.args = (f"{error}. Everything was put back; {'; '.join(told)}",)
