#!/bin/sh
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The faults. Two of the apps run, and nginx cannot use their sockets; the others do not run: systemd gave one up while what
# it needs was not there, one lacks the directory of its socket, and one was never started.
systemctl start counter.service pages.service
systemctl start chat.service 2> /dev/null || true
while systemctl is-active --quiet chat.service || [ "$(systemctl is-active chat.service)" = activating ]; do sleep 0.2; done
touch /srv/database
systemctl start live.service
