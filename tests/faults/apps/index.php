<?php
// Copyright: Contributors to the sre.bad_gateway project
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The shop in PHP: /slow-3 takes three seconds.
[$name, $number] = array_pad(explode('-', trim($_SERVER['REQUEST_URI'], '/')), 2, '0');
if ($name === 'slow') {
    sleep((int) $number);
}
if ($name === 'killed') {
    posix_kill(posix_getpid(), 11);
}
header('Content-Type: text/plain');
echo "the shop\n";
