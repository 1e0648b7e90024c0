"""A client of Prefect's server as patient as Prefect's own: 503 is how a server with a locked SQLite says "again"."""

import time
from typing import Any

import httpx

_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds


class _PatientTransport(httpx.HTTPTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for pause in _PAUSES:
            answer = super().handle_request(request)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
            answer.close()
            time.sleep(pause)
        return super().handle_request(request)


def patient_client(**options: Any) -> httpx.Client:
    """For servers on this machine, which are never reached through a proxy."""
    return httpx.Client(transport=_PatientTransport(), timeout=60, trust_env=False, **options)
