# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can stop a change. Each message names the file, unit or route, and the remedy."""

from __future__ import annotations

from typing import Sequence


class ChangeError(RuntimeError):
    """The change was not made, or was taken back."""


class RouteError(ChangeError):
    """What was asked for does not name exactly one route, or cannot be done to it."""


class ConfigError(ChangeError):
    """nginx, or our own reading, does not accept the configuration."""


class InterferenceError(ChangeError):
    """Somebody else is at work on the same files."""


class WriteError(ChangeError):
    """A file cannot be written as it has to be."""


class JournalError(ChangeError):
    """What is needed to take a change back cannot be kept, or not be read."""


class StoppedError(ChangeError):
    """A signal asked for an end."""


class ReloadError(ChangeError):
    """nginx did not take up the new configuration."""


class WorseError(ChangeError):
    """Routes that answered did not any more."""

    def __init__(self, message: str, *, worse: Sequence[str]) -> None:
        super().__init__(message)
        self.worse = list(worse)
