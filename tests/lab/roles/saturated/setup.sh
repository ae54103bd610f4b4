#!/bin/sh
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# One child, and a queue that is full as soon as five wait. Which PHP a host has depends on its Debian.
set -eu
pool=$(ls /etc/php/*/fpm/pool.d/www.conf)
sed -i -e 's/^pm\.\(max_children\|start_servers\|min_spare_servers\|max_spare_servers\) = .*/pm.\1 = 1/' \
    -e 's/^;listen\.backlog = .*/listen.backlog = 4/' "$pool"
systemctl enable --now "php$(echo "$pool" | cut -d/ -f4)-fpm.service"
