#!/bin/sh
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The fault: somebody removes the socket file of a running app. The app does not notice; nginx does.
rm /run/blog/blog.sock
