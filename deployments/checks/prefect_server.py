"""The few calls that the doctor makes to a Prefect server, without prefect, whose import takes seconds."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SECONDS = 20.0
_PAGE = 200
_BUSY = 503  # Prefect's answer while its SQLite is locked: ask again
_PAUSES = (0.5, 1.0, 2.0)  # seconds
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ServerError(RuntimeError):
    """The server refused a call or did not answer; `status` is HTTP's, 0 without an answer. Holds no secret."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class PrefectServer:
    """A server by its API's address, such as http://127.0.0.1:4200/api, and how one signs in there."""

    url: str
    auth: str = ""  # PREFECT_API_AUTH_STRING
    key: str = ""  # PREFECT_API_KEY
    _csrf: dict[str, str] | None = field(default=None, init=False)

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> PrefectServer | None:
        """The configured one; None where none is."""
        url = env.get("PREFECT_API_URL", "")
        auth, key = env.get("PREFECT_API_AUTH_STRING", ""), env.get("PREFECT_API_KEY", "")
        return cls(url.rstrip("/"), auth, key) if url else None

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it by this address."""
        return self.host in _LOOPBACK

    def get(self, path: str, *, signed_in: bool = True) -> Any:
        """The answer to a GET.

        Raises:
            ServerError: there is none, or it is an error.
        """
        return self._call(path, None, self._credentials() if signed_in else {})

    def filter(self, path: str, query: Mapping[str, Any] | None = None) -> list[Any]:
        """All objects that a query finds; path: such as work_pools/filter.

        Raises:
            ServerError: as `get`.
        """
        found: list[Any] = []
        while True:
            body = {**(query or {}), "limit": _PAGE, "offset": len(found)}
            page = self._call(path, body, self._credentials() | self._csrf_headers())
            found += page
            if len(page) < _PAGE:
                return found

    def csrf_is_on(self) -> bool:
        """Whether the server wants CSRF tokens.

        Raises:
            ServerError: as `get`.
        """
        return bool(self._csrf_headers())

    def _csrf_headers(self) -> dict[str, str]:
        """What a POST needs; nothing where the protection is off, which the server says with 422 (very old: 404)."""
        if self._csrf is None:
            client = str(uuid.uuid4())
            try:
                token = self.get(f"csrf-token?client={client}")["token"]
            except ServerError as error:
                if error.status not in (404, 422):
                    raise
                self._csrf = {}
            else:
                self._csrf = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}
        return self._csrf

    def _credentials(self) -> dict[str, str]:
        if self.auth:
            return {"Authorization": f"Basic {base64.b64encode(self.auth.encode()).decode()}"}
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def _call(self, path: str, body: object, headers: Mapping[str, str]) -> Any:
        for pause in _PAUSES:
            try:
                return self._call_once(path, body, headers)
            except ServerError as error:
                if error.status != _BUSY:
                    raise
            time.sleep(pause)
        return self._call_once(path, body, headers)

    def _call_once(self, path: str, body: object, headers: Mapping[str, str]) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the user's own server
            f"{self.url}/{path}", data=data, headers={"Content-Type": "application/json", **headers}
        )
        proxies = urllib.request.ProxyHandler({}) if self.is_local else urllib.request.ProxyHandler()
        where = path.partition("?")[0]
        try:
            with urllib.request.build_opener(proxies).open(request, timeout=_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ServerError(f"{where}: HTTP {error.code}", error.code) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise ServerError(f"{where}: {reason}") from None
