-- Copyright: Contributors to the sre.bad_gateway project
-- GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- For wrk: milliseconds between two requests of a connection. Without them it takes all of the machine that hosts share.
function delay()
   return 20
end
