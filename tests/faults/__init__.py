# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fault catalogue: real hosts, broken one way each, and the cause that the diagnosis must name first.

    make faults                           the whole catalogue, with a table at the end
    make faults FAULTS="wrong_port oom"   some of it
    make faults AGAIN=1                   diagnose the last run's observations again, without any host

A fault is data (`_model.Fault`): healthy hosts, the commands that break them, the requests that nginx gets, and what
must be named. `_stacks` holds the healthy shapes that faults start from, `_catalogue` one module for each family.
`_harness` brings the hosts of many faults up side by side in the lab, breaks them, drives requests through nginx and
looks at all of them in one Ansible run; `_judge` and `_table` are pure. No host serves two faults: a new one boots in
less time than an old one could be made whole, and it remembers nothing.

The catalogue proves itself too: an entry whose breaking step is left out must be a miss, and a healthy fleet that
was broken must be a false alarm (`must_fail`).
"""
