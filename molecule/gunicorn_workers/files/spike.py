# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A spike: requests that come eight a second, for eight seconds, whether earlier ones were answered or not."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter

EACH_SECOND = 8
SECONDS = 8


def ask(site: str, found: Counter[str]) -> None:
    """Count what nginx answers."""
    connection = http.client.HTTPConnection("127.0.0.1", timeout=60)
    try:
        connection.request("GET", "/", headers={"Host": site, "Connection": "close"})
        found[str(connection.getresponse().status)] += 1
    except OSError as error:
        found[type(error).__name__] += 1
    finally:
        connection.close()


def main() -> None:
    found: Counter[str] = Counter()
    threads = [threading.Thread(target=ask, args=(sys.argv[1], found)) for _number in range(EACH_SECOND * SECONDS)]
    for thread in threads:
        thread.start()
        time.sleep(1 / EACH_SECOND)
    for thread in threads:
        thread.join()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
