#!/bin/sh
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# As its manual begins: all that comes from elsewhere vanishes, but for ssh.
set -eu
ufw allow 22/tcp
ufw --force enable
