# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line of the fault catalogue."""

from __future__ import annotations

import argparse
import difflib
import signal
import sys
import time
from collections.abc import Sequence

from lab import LabError, gather_facts, judge

from ._catalogue import FAULTS
from ._harness import HarnessError, again, run_all
from ._model import Fault
from ._table import summary, table


def chosen(names: Sequence[str]) -> list[Fault]:
    """The entries of these names, or all."""
    known = {fault.id: fault for fault in FAULTS}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known) or sorted(known)
            raise HarnessError(f"no fault is called {name}; there are: {', '.join(near)}")
    return [known[name] for name in names] or list(FAULTS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the catalogue. 0 when every entry passed; 2 when the lab cannot run here."""
    parser = argparse.ArgumentParser(prog="faults", description="Break real hosts, and see what the diagnosis says.")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="entries of the catalogue; default: all")
    parser.add_argument("--again", action="store_true", help="diagnose what the last run saw again, without hosts")
    parser.add_argument("--fleet", default="faults", help="how the fleets of this run are called")
    arguments = parser.parse_args(argv)
    # Also a run that is told to end takes its hosts down.
    signal.signal(signal.SIGTERM, lambda *_ignored: sys.exit("faults: told to end"))
    begin = time.monotonic()
    try:
        faults = chosen(arguments.faults)
        problems = [] if arguments.again else judge(gather_facts())
        if problems:
            print("\n".join(f"faults: {problem.text}" for problem in problems), file=sys.stderr)
            return 2
        play = again if arguments.again else run_all
        verdicts = list(play(faults, fleet=arguments.fleet))
    except (HarnessError, LabError) as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1
    print(table(verdicts))
    print(f"{summary(verdicts)}; {time.monotonic() - begin:.0f} s")
    return 0 if all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
