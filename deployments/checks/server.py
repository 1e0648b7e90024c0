"""The Prefect server of a box: reachable, ours, guarded, with its pools, workers, deployments and automations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from deployments import AUTOMATIONS, CAPTION_POOL, GPU_POOL, SHARD_POOL
from deployments.checks.finding import Finding, fail, ok, skip, warn
from deployments.checks.job import Job
from deployments.checks.prefect_server import PrefectServer, ServerError
from lib.runtime.prefect_api import api_configured

STUCK_AFTER = timedelta(days=1)
_SET_UP = "run `python -m deployments.server_setup`"
_SERVER_UNIT = "auto-refine-server"
_WORKER_UNITS = {GPU_POOL: "auto-refine-gpu-worker", SHARD_POOL: "auto-refine-shard-worker"}
_REFUSED = 401


def check_server(job: Job) -> Iterator[Finding]:
    """Everything about the configured server; without one every run starts its own."""
    server = PrefectServer.from_environment(job.env) or of_profile()
    if server is None:
        yield skip("server", "none is configured (PREFECT_API_URL): runs start one of their own")
        return
    reached = check_reachable(server, job)
    yield reached
    if reached.level == "FAIL":
        return
    signed_in = check_signing_in(server)
    yield signed_in
    yield check_guard(server, installed=job.box is not None)
    if signed_in.level == "FAIL":
        return
    checks = (check_csrf, check_pools, check_deployments, check_automations, check_stuck_runs)
    for check in checks:
        try:
            yield from check(server, job)
        except ServerError as error:
            yield fail("server", f"refuses {error}", "look at its log; client and server may be of different versions")


def of_profile() -> PrefectServer | None:
    """The server that prefect's active profile names, which flows would use too."""
    if not api_configured():
        return None
    from prefect.settings import get_current_settings

    api = get_current_settings().api
    auth, key = (secret.get_secret_value() if secret else "" for secret in (api.auth_string, api.key))
    return PrefectServer(api.url.rstrip("/"), auth, key) if api.url else None


def check_reachable(server: PrefectServer, job: Job) -> Finding:
    try:
        server.get("health", signed_in=False)
    except ServerError as error:
        start = f"`{systemctl(job)} start {_SERVER_UNIT}`, then see its log"
        advice = start if job.box and server.is_local else "start it, open the ssh tunnel, or mend PREFECT_API_URL"
        return fail("server", f"{server.url} does not answer ({error})", advice)
    return ok("server", f"{server.url} answers")


def check_signing_in(server: PrefectServer) -> Finding:
    """Whether our password is accepted, and the server's version is ours."""
    try:
        theirs = str(server.get("admin/version"))
    except ServerError as error:
        if error.status != _REFUSED:
            return fail("server version", f"refused ({error})", "is PREFECT_API_URL that of a Prefect server's API?")
        given = "PREFECT_API_AUTH_STRING" if server.auth else "no PREFECT_API_AUTH_STRING"
        advice = "take it from the server's client.env: set -a; . client.env"
        return fail("server sign-in", f"refused with {given} of this environment (HTTP 401)", advice)
    return judge_version(theirs, our_prefect())


def judge_version(theirs: str, ours: str) -> Finding:
    """ours: "" where prefect is not installed."""
    if not ours:
        return fail("server version", f"{theirs}, and prefect is not installed here", "make install")
    if theirs == ours:
        return ok("server version", f"{theirs}, as here; our sign-in is accepted")
    minor = theirs.split(".")[:2] == ours.split(".")[:2]
    found = f"{theirs}, and {ours} here"
    return (warn if minor else fail)("server version", found, "install the same prefect on both sides (make install)")


def our_prefect() -> str:
    """The installed version; "" without."""
    try:
        return version("prefect")
    except PackageNotFoundError:
        return ""


def check_guard(server: PrefectServer, *, installed: bool) -> Finding:
    """Whether somebody without a password is sent away: who reaches the API can run code as the worker."""
    what = "server's guard"
    try:
        server.get("admin/version", signed_in=False)
    except ServerError as error:
        if error.status == _REFUSED:
            return ok(what, "a call without password is refused")
        return fail(what, f"a call without password gets {error}", "look at the server's log")
    advice = "set PREFECT_SERVER_API_AUTH_STRING for the server and PREFECT_API_AUTH_STRING for its clients"
    return (fail if installed or not server.is_local else warn)(what, "takes calls without password", advice)


def check_csrf(server: PrefectServer, job: Job) -> Iterator[Finding]:
    what = "CSRF protection"
    if server.csrf_is_on():
        yield ok(what, "on")
    elif job.box:
        yield warn(what, "off", "PREFECT_SERVER_CSRF_PROTECTION_ENABLED=true in server.env, then restart the server")
    else:
        yield skip(what, "off; not a server of an installed box")


def wanted_pools(env: Mapping[str, str]) -> tuple[str, ...]:
    """As `deployments.caption_pool`, in the environment of the box."""
    return GPU_POOL, SHARD_POOL, env.get("AUTO_REFINE_CAPTION_POOL") or CAPTION_POOL


def check_pools(server: PrefectServer, job: Job) -> Iterator[Finding]:
    """Each pool is there, takes work, and has a worker that polls it."""
    pools = {pool["name"]: pool for pool in server.filter("work_pools/filter")}
    for name in wanted_pools(job.env):
        what, pool = f"pool {name}", pools.get(name)
        if pool is None:
            yield missing(what, job)
            continue
        workers = server.filter(f"work_pools/{name}/workers/filter")
        yield judge_pool(what, pool, workers, job)


def judge_pool(what: str, pool: Mapping[str, Any], workers: list[Mapping[str, Any]], job: Job) -> Finding:
    online = [worker["name"] for worker in workers if worker.get("status") == "ONLINE"]
    if pool.get("type") != "process":
        return fail(what, f"of type {pool.get('type')}, not process", f"delete it in the UI, then {_SET_UP}")
    if pool.get("is_paused"):
        return fail(what, "paused", f"`prefect work-pool resume {pool['name']}`")
    if not online:
        unit = _WORKER_UNITS.get(pool["name"], "auto-refine-caption-worker")
        by_hand = f"`prefect worker start --pool {pool['name']} --type process`"
        return fail(what, "no worker is online", f"`{systemctl(job)} start {unit}`" if job.box else by_hand)
    return ok(what, f"{len(online)} online: {', '.join(sorted(online))}")


def check_deployments(server: PrefectServer, job: Job) -> Iterator[Finding]:
    """Each deployment of prefect.yaml is there; one with a schedule has an active one."""
    path = job.project / "prefect.yaml"
    try:
        wanted = read_deployments(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        yield fail("deployments", f"{path} cannot be read ({error})", "get the whole checkout again")
        return
    found = {deployment["name"]: deployment for deployment in server.filter("deployments/filter")}
    for name, scheduled in wanted.items():
        what = f"deployment {name}"
        yield judge_deployment(what, found[name], scheduled=scheduled) if name in found else missing(what, job)
    captions = wanted_pools(job.env)[-1]
    if all(deployment.get("work_pool_name") != captions for deployment in found.values()):
        yield missing(f"deployment in {captions}", job)


def read_deployments(text: str) -> dict[str, bool]:
    """Name -> whether it has a schedule.

    Raises:
        ValueError: no such YAML.
    """
    import yaml

    try:
        listed = (yaml.safe_load(text) or {})["deployments"]
        return {entry["name"]: bool(entry.get("schedules") or entry.get("schedule")) for entry in listed}
    except (yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"no list of deployments: {error}") from None


def judge_deployment(what: str, found: Mapping[str, Any], *, scheduled: bool) -> Finding:
    active = [entry["schedule"] for entry in found.get("schedules") or [] if entry.get("active")]
    if found.get("paused"):
        return warn(what, "paused: its schedule starts nothing", "resume it on its page in the UI")
    if scheduled and not active:
        return warn(what, "no active schedule: it never starts by itself", "switch the schedule on in the UI")
    times = "; ".join(" ".join(filter(None, (entry.get("cron"), entry.get("timezone")))) for entry in active)
    return ok(what, f"there, {times or 'scheduled'}" if active else "there")


def check_automations(server: PrefectServer, job: Job) -> Iterator[Finding]:
    """Runs whose worker has died are noticed by automations only."""
    found = {automation["name"]: automation for automation in server.filter("automations/filter")}
    for name in AUTOMATIONS:
        what = f"automation {name!r}"
        if name not in found:
            yield missing(what, job)
        elif not found[name].get("enabled"):
            yield warn(what, "disabled", "enable it in the UI")
        else:
            yield ok(what, "enabled")


def check_stuck_runs(server: PrefectServer, _job: Job) -> Iterator[Finding]:
    """Runs that have been in the middle of something for longer than a day."""
    states = {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}
    runs = server.filter("flow_runs/filter", {"flow_runs": states})
    since = datetime.now(timezone.utc) - STUCK_AFTER
    stuck = [run for run in runs if datetime.fromisoformat(run["state"]["timestamp"]) < since]
    for run in stuck:
        found = f"{run['state']['name']} since {run['state']['timestamp'][:16]}"
        yield warn(f"run {run['name']}", found, f"look at its log, then `prefect flow-run cancel {run['id']}`")
    if not stuck:
        yield ok("runs", f"{len(runs)} at work, none for longer than {STUCK_AFTER.days} day")


def missing(what: str, job: Job) -> Finding:
    """On a box it must be there; a person's own server needs it only for what is started from the UI."""
    joined = job.box is not None and not job.box.server_env.exists()
    advice = f"{_SET_UP} on the server's box, and with --joining on this one" if joined else _SET_UP
    return (fail if job.box else warn)(what, "not on the server", advice)


def systemctl(job: Job) -> str:
    """The command that reaches the box's units."""
    return "systemctl --user" if job.box and job.box.units_dir.name == "user" else "systemctl"
