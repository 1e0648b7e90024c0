"""Makes a Linux box one that runs auto-refine by itself: environments, a server, workers, folders for videos.

    python3 deployments/install.py               for you alone (systemd user units)
    sudo python3 deployments/install.py          for the machine (system units, run as the checkout's owner)
    python3 deployments/install.py --uninstall   takes it all away, but for videos, results and weights

Run it again at any time: it changes only what has to be changed. Needs Python 3.11 and nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.dont_write_bytecode = True  # it may be root's that nobody else could remove
    sys.path.insert(0, str(CHECKOUT))

from deployments.box.commands import Account, StepError  # noqa: E402
from deployments.box.installer import Installer, require_access, require_python  # noqa: E402
from deployments.box.manifest import Manifest  # noqa: E402
from deployments.box.paths import BoxPaths  # noqa: E402
from deployments.box.settings import BoxSettings, resolve  # noqa: E402
from deployments.box.systemd import Systemd  # noqa: E402
from deployments.box.uninstall import uninstall  # noqa: E402
from lib.errors import InputError  # noqa: E402

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_SYSTEMD = 3


def main(argv: Sequence[str]) -> int:
    """Install or uninstall; 0 all well, 1 a step failed, 2 bad usage, 3 written but nothing started: no systemd."""
    if sys.version_info < (3, 11):
        print(f"auto-refine: found Python {sys.version.split()[0]}, needed is 3.11 or newer", file=sys.stderr)
        return EXIT_USAGE
    said = _parse(argv)
    try:
        paths, account = _places(said)
        if said.uninstall:
            uninstall(paths, account, _usable_systemd(said))
            return 0
        return _install(said, paths, account)
    except InputError as error:
        print(f"auto-refine: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (StepError, OSError) as error:
        print(f"auto-refine: {error}", file=sys.stderr)
        return EXIT_FAILED


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="install.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--uninstall", action="store_true", help="stop everything and remove it, the history of runs included")
    add("--port", type=int, help="of the server (4200)")
    add("--host", help="address that the server listens on (127.0.0.1)")
    add("--database", metavar="URL|FILE|-|sqlite", help="PostgreSQL: a URL, or where to read one that has a password")
    add("--inbox", metavar="DIR", help="folder that the nightly run takes videos from")
    add("--outbox", metavar="DIR", help="folder that it puts results into")
    add("--results", metavar="DIR", help="folder for the results of other runs")
    add("--weights_dir", metavar="DIR", help="folder with the weights (weights/ in the checkout)")
    add("--cron", help="when the nightly run starts ('0 2 * * *')")
    add("--timezone", help="time zone of that, such as Europe/Berlin (this machine's)")
    add("--server", metavar="URL", help="join another box's server instead of having one")
    add("--auth_file", metavar="FILE|-", help="where to read the server's user:password (mode 0600, or stdin)")
    add("--new_password", action="store_true", help="replace the server's password by a new one")
    add("--scope", choices=("user", "system"), help="for you alone or for the machine (system, if you are root)")
    add("--user", help="account that system units run as (the checkout's owner)")
    add("--no_environments", action="store_true", help="leave .venv and .venv-caption to you")
    add("--python", metavar="FILE", help="interpreter of an environment of yours that has this project installed")
    add("--no_start", action="store_true", help="write files only")
    add("--root", type=Path, metavar="DIR", help="write files below DIR, as for an image; starts and installs nothing")
    return parser.parse_args([_with_underscores(word) for word in argv])


def _with_underscores(word: str) -> str:
    flag, equals, value = word.partition("=")
    return flag[:2] + flag[2:].replace("-", "_") + equals + value if flag.startswith("--") else word


def _places(said: argparse.Namespace) -> tuple[BoxPaths, Account]:
    """Where files go and whose they are; fills in the scope."""
    is_root = os.geteuid() == 0
    said.scope = said.scope or ("system" if is_root else "user")
    root = (said.root or Path("/")).absolute()
    if not root.is_dir():
        raise InputError(f"--root {root}: no such folder")
    if said.scope == "user":
        if said.user:
            raise InputError("--user goes with system units; leave it out or run as root")
        return BoxPaths.for_user(root), Account.numbered(os.geteuid())
    if not is_root and root == Path("/"):
        raise InputError("--scope system: run it as root (sudo)")
    return BoxPaths.for_root(root), Account.named(said.user) if said.user else Account.owner_of(CHECKOUT)


def _usable_systemd(said: argparse.Namespace) -> Systemd | None:
    """None if it is not to be asked or not there."""
    if said.no_start or said.root:
        return None
    systemd = Systemd(system_wide=said.scope == "system")
    if problem := systemd.problem():
        print(f"no systemd here: {problem}", file=sys.stderr)
        return None
    return systemd


def _install(said: argparse.Namespace, paths: BoxPaths, account: Account) -> int:
    manifest = Manifest(paths, account)
    settings = resolve(said, paths, account, manifest.record, CHECKOUT)
    installer = Installer(settings, paths, manifest, CHECKOUT)
    files_only = bool(said.no_start or said.root)
    if not settings.has_server and not files_only:
        require_access(settings, paths)
    if said.python:
        manifest.record.python = str(settings.python)
    if not (said.no_environments or manifest.record.python or said.root):
        installer.make_environments()
    if not said.root:
        require_python(settings, paths)
    systemd = _usable_systemd(said)
    installer.make_folders()
    dropped = installer.drop_server(systemd)
    installer.write_env_files()
    changed = installer.write_units() or dropped
    if systemd is None:
        _print_by_hand(installer, paths)
        return 0 if files_only else EXIT_NO_SYSTEMD
    installer.start(systemd, reload=changed)
    _print_what_next(settings, paths)
    return 0


def _print_by_hand(installer: Installer, paths: BoxPaths) -> None:
    print("nothing was started; by hand:")
    print(*(f"  {line}" for line in installer.by_hand()), sep="\n")
    print(f"password: in {paths.inside(paths.client_env)}, behind PREFECT_API_AUTH_STRING=")


def _print_what_next(settings: BoxSettings, paths: BoxPaths) -> None:
    print(f"\nUI: {settings.base_url}")
    print(f"password: in {paths.client_env}, behind PREFECT_API_AUTH_STRING= (the UI asks for all of user:password)")
    if settings.host == "127.0.0.1" and settings.has_server:
        machine = f"{settings.account.name}@{settings.machine}"
        print(f"from elsewhere: ssh -N -L {settings.port}:127.0.0.1:{settings.port} {machine}")
    if not settings.system_wide and not Path("/var/lib/systemd/linger", settings.account.name).exists():
        print(f"to have it run while you are not logged in: loginctl enable-linger {settings.account.name}")
    print("weights: make weights    check: make doctor    what to do next: docs/operations.md")
    print(f"videos for tonight: {settings.inbox}/<name>/{{video,mask}}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
