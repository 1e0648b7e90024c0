"""The launcher's calls to the server that it started, without prefect, whose import takes seconds."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import urllib.error
import urllib.request
from typing import Any

from lib.runtime.gate import PROOF_PATH
from lib.runtime.login import Login, proof

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy: it is on this machine
_SECONDS = 30.0


class ApiClient:
    """A client of the embedded server.

    Args:
        port: Where it listens, on 127.0.0.1.
        login: What lets us in.
    """

    def __init__(self, port: int, login: Login) -> None:
        self.server_url = f"http://127.0.0.1:{port}"
        self._port, self._login = port, login
        self._csrf: dict[str, str] = {}

    @property
    def api_url(self) -> str:
        return f"{self.server_url}/api"

    def proves_itself(self, timeout: float) -> bool:
        """Whether who answers there knows the secret; it is not told to them. OSError without an answer."""
        nonce = secrets.token_hex(16)
        try:
            with _OPENER.open(f"{self.server_url}{PROOF_PATH}?nonce={nonce}", timeout=timeout) as answer:
                said = answer.read(100).decode("ascii", "replace")
        except urllib.error.HTTPError:
            return False
        return hmac.compare_digest(said, proof(self._login.auth, nonce, self._port))

    def post(self, path: str, body: object) -> Any:
        """The answer to a POST; path: below the API's address. Raises OSError (HTTPError) if it is none or an error."""
        if not self._csrf:
            client = secrets.token_hex(16)
            token = self._call(f"csrf-token?client={client}", None)["token"]
            self._csrf = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}
        return self._call(path, json.dumps(body).encode())

    def _call(self, path: str, data: bytes | None) -> Any:
        sign_in = f"Basic {base64.b64encode(self._login.auth.encode()).decode()}"
        headers = {"Content-Type": "application/json", "Authorization": sign_in, **self._csrf}
        request = urllib.request.Request(f"{self.api_url}/{path}", data=data, headers=headers)  # noqa: S310
        with _OPENER.open(request, timeout=_SECONDS) as answer:
            return json.load(answer)
