#!/bin/sh
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the controller's virtual environment .venv, with the newest Python here that serves, and links the checkout
# to where Ansible looks for collections. Does nothing when all that is there already.
set -eu
cd "$(dirname "$0")/.."

# ansible-core 2.18 and later run on Python 3.11 and later.
serves='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'

newest_python() {
    for candidate in ${PYTHON:-} python3.14 python3.13 python3.12 python3.11 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[4321]*/bin/python3 python3 /usr/bin/python3; do
        if "$candidate" -c "$serves" >/dev/null 2>&1; then
            "$candidate" -c 'import sys; print("%d %s" % (sys.version_info[1], sys.executable))'
        fi
    done | sort -rn -s -k1,1 | head -n 1 | cut -d' ' -f2-
}

install_python() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "==> installing python3-venv"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3 python3-venv >/dev/null
    fi
}

wanted=$(cat tests/requirements.txt requirements.txt | cksum)
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
    python=$(newest_python)
    if [ -z "$python" ]; then
        install_python
        python=$(newest_python)
    fi
    if [ -z "$python" ]; then
        echo "No Python here serves: 3.11 or later with its venv module is needed." >&2
        echo "On Debian 12 or later, as root: apt-get install python3 python3-venv. Or name one: make PYTHON=/path/to/python3" >&2
        exit 1
    fi
    echo "==> setting up .venv with $("$python" --version) ($python)"
    "$python" -m venv --clear .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
    echo "$wanted" >.venv/installed
fi

mkdir -p .work/ansible_collections/sre
ln -sfn ../../.. .work/ansible_collections/sre/bad_gateway
