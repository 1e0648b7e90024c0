"""Pools, deployments and automations on a server that runs: `python -m deployments.server_setup`.

The server is that of PREFECT_API_URL; what differs from box to box (folders, the nightly hour) comes from the
environment of an installed box. Calling it again brings everything up to date.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.schedules import CronSchedule

from deployments import CAPTION_POOL, GPU_POOL, SHARD_POOL, caption_pool_name
from deployments.automations import ensure_automations
from deployments.caption_pool import ensure_caption_deployment
from deployments.pools import ensure_pools
from lib.errors import InputError

PROJECT_ROOT = Path(__file__).resolve().parents[1]
NIGHTLY = "auto-refine-inbox/auto-refine-nightly"
_FOLDERS = {"WEIGHTS": "weights", "INBOX": "inbox", "OUTBOX": "outbox", "RESULTS": "results"}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 all there, 2 the environment is of no use, else that of `prefect deploy`."""
    parser = argparse.ArgumentParser(prog="server_setup", description=__doc__)
    parser.add_argument(
        "--joining", action="store_true", help="only what a further box needs: a caption pool and deployment of its own"
    )
    joining = parser.parse_args(argv).joining
    try:
        _require_server(os.environ)
        with get_client(sync_client=True) as client:
            pools = [caption_pool_name()] if joining else [GPU_POOL, SHARD_POOL, CAPTION_POOL, caption_pool_name()]
            _say("pools", ensure_pools(client, dict.fromkeys(pools)))
            ensure_caption_deployment()
            return 0 if joining else _set_up(client)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def _set_up(client: SyncPrefectClient) -> int:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    env = deploy_environment(os.environ)
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:  # else its pages of advice are of no use here
        print(done.stdout + done.stderr, file=sys.stderr)
        return done.returncode
    print("deployments: those of prefect.yaml", flush=True)
    _set_schedule(client, os.environ)
    _say("automations", ensure_automations())
    return 0


def deploy_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the folders of prefect.yaml where it names none: those below the checkout."""
    folders = {f"AUTO_REFINE_{name}": str(PROJECT_ROOT / folder) for name, folder in _FOLDERS.items()}
    python = PROJECT_ROOT / ".venv-caption" / "bin" / "python"
    captions = {"AUTO_REFINE_CAPTION_PYTHON": str(python if python.exists() else sys.executable)}
    return {**folders, **captions, **{name: value for name, value in env.items() if value}}


def _set_schedule(client: SyncPrefectClient, env: Mapping[str, str]) -> None:
    """The nightly hour of this installation in place of the file's."""
    cron, timezone = env.get("AUTO_REFINE_CRON"), env.get("AUTO_REFINE_TIMEZONE")
    if not cron and not timezone:
        return
    deployment = client.read_deployment_by_name(NIGHTLY)
    for item in deployment.schedules:
        if isinstance(item.schedule, CronSchedule):
            try:
                wanted = CronSchedule(cron=cron or item.schedule.cron, timezone=timezone or item.schedule.timezone)
            except ValueError as error:
                raise InputError(
                    f"AUTO_REFINE_CRON={cron}, AUTO_REFINE_TIMEZONE={timezone}: no schedule ({error}); "
                    'give five fields like "0 2 * * *" and a zone like Europe/Berlin'
                ) from None
            client.update_deployment_schedule(deployment.id, item.id, schedule=wanted)


def _require_server(env: Mapping[str, str]) -> None:
    if not env.get("PREFECT_API_URL"):
        raise InputError(
            "PREFECT_API_URL is not set; read the box's environment first: "
            "set -a; . ~/.config/auto-refine/client.env; set +a"
        )


def _say(what: str, made: Sequence[str]) -> None:
    print(f"{what}: {', '.join(made) + ' created' if made else 'all there'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
