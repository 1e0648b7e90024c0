"""Whether the server is there, lets us in, and lets nobody else in. Stdlib only."""

from __future__ import annotations

import base64
import time
import urllib.error
import urllib.request

from deployments.box.commands import StepError

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # servers are near: never through a proxy
_PATIENCE = 180.0  # seconds; the first start writes the database


def wait_until_healthy(api_url: str, where_its_log_is: str, patience: float = _PATIENCE) -> None:
    """Wait until the server answers. Raises StepError when it does not within `patience` seconds."""
    deadline = time.monotonic() + patience
    while (found := _status(f"{api_url}/health")) != 200:
        if time.monotonic() > deadline:
            raise StepError(f"{api_url}/health: expected 200, found {found} for {patience:.0f} s; {where_its_log_is}")
        time.sleep(0.5)


def check_access(api_url: str, auth: str) -> None:
    """See that the server takes this user:password and refuses calls without.

    Raises:
        StepError: it does not; then it may be somebody else's.
    """
    address = f"{api_url}/admin/version"
    found = _status(address, auth)
    if found == 401:
        raise StepError(
            f"{address}: the server refuses our password (401); it is another server's, or on a box that "
            "joins, give the right one by --auth_file"
        )
    if found != 200:
        raise StepError(f"{address}: expected 200, found {found}; is a Prefect server there, and reachable?")
    if (without := _status(address)) != 401:
        raise StepError(
            f"{address}: expected 401 without a password, found {without}; another server without a password "
            "is there, end it or choose another --port"
        )


def _status(url: str, auth: str = "") -> int | str:
    """The answer's status, or why there was none."""
    headers = {"Authorization": "Basic " + base64.b64encode(auth.encode()).decode()} if auth else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    try:
        with _OPENER.open(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError) as error:  # refused, reset, timed out; not HTTP
        return str(error)
