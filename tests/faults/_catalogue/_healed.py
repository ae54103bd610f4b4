# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults that have healed and left their lines in the logs: nobody is to be called for them."""

from __future__ import annotations

from .._model import Ask, Fault, Run
from ._response import WORKS
from ._tcp import DROPPED, NODE, REFUSED, SHOP, WEB_AND_APP, site_edit
from ._unix import SHOP as SOCKET_SHOP

FAULTS = (
    Fault(
        "healed_wrong_port",
        "a wrong port was corrected",
        {"web": SHOP},
        (Run(site_edit("s/:8000/:8001/")), *REFUSED, Run(site_edit("s/:8001/:8000/"))),
        (Ask((200,), times=10),),
    ),
    Fault(
        "healed_stop",
        "the app was stopped once and started again",
        {"web": SHOP},
        (Run("systemctl stop shop"), *REFUSED, Run("systemctl start shop; sleep 1")),
        (Ask((200,), times=10),),
    ),
    Fault(
        "healed_permission",
        "nginx was let into the socket's directory again",
        {"web": SOCKET_SHOP},
        (Run("chown app:app /run/shop; chmod 0700 /run/shop"), *REFUSED, Run("chmod 0755 /run/shop")),
        (Ask((200,), times=10),),
    ),
    Fault(
        "healed_firewall",
        "a rule that dropped connections was taken out again",
        WEB_AND_APP,
        (
            Run("iptables -A INPUT -p tcp --dport 8000 -j DROP", host="app"),
            *DROPPED,
            Run("iptables -D INPUT -p tcp --dport 8000 -j DROP", host="app"),
        ),
        (Ask((200,), times=10),),
    ),
    Fault(
        "healed_https",
        "nginx spoke TLS to a plain app until it was corrected",
        {"web": NODE},
        (Run(site_edit("s|http://127|https://127|")), *REFUSED, Run(site_edit("s|https://127|http://127|"))),
        (*WORKS, Ask((200,), times=10)),
    ),
)
