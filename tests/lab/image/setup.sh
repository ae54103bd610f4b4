#!/bin/sh
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Turns a fresh Debian tree, given as the first argument, into a host of the lab: nothing runs that no role asked for.
set -eu
root=$1

chroot "$root" useradd --system --gid www-data --home-dir /srv/app --shell /usr/sbin/nologin app
# Who is not root, and may become it.
chroot "$root" useradd --create-home --shell /bin/bash admin
echo 'admin ALL=(ALL:ALL) NOPASSWD: ALL' > "$root/etc/sudoers.d/admin"
systemctl --root="$root" disable nginx.service ufw.service firewalld.service
# firewalld brings it along; sessions that logind counts begin more slowly.
chroot "$root" pam-auth-update --package --remove systemd
for unit in "$root"/lib/systemd/system/php*-fpm.service; do
    systemctl --root="$root" disable "${unit##*/}"
done
# Lua is for the hosts that load it.
rm -f "$root"/etc/nginx/modules-enabled/*lua.conf "$root"/etc/nginx/modules-enabled/*ndk.conf
systemctl --root="$root" mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer \
    systemd-pstore.service systemd-resolved.service getty@.service console-getty.service
rm -f "$root/etc/nginx/sites-enabled/default" "$root/etc/apt/apt.conf.d/99mmdebstrap"
# One machine id for all hosts would be as wrong as one address for all.
: > "$root/etc/machine-id"
