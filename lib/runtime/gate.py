"""What stands before Prefect's application: whoever calls the server by a wrong name or from another site is refused.

Prefect itself answers to any Host, so that a web page could reach it by a name of its own that points at this machine,
and it takes JSON that comes as text/plain, which browsers send to other sites without asking. ASGI; no prefect here.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lib.runtime.login import proof

ALLOWED_HOSTS = "AUTO_REFINE_ALLOWED_HOSTS"  # names in the server's environment, comma-separated
PROOF_PATH = "/auto-refine/proof"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
_SIMPLE_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")  # sent without a preflight
_NONCE = re.compile(r"[0-9a-f]{32}")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Refusal:
    """Why a request goes no further; status: HTTP's."""

    status: int
    text: str


class Gate:
    """An ASGI application around another.

    Args:
        app: Gets what is let through.
        allowed_hosts: Names by which the server may be called, besides the called address and localhost; without ports.
        auth: What the server can prove to know; "": it proves nothing, as with a password that could be guessed.
    """

    def __init__(self, app: App, allowed_hosts: Iterable[str] = (), auth: str = "") -> None:
        self._app = app
        self._named = frozenset(_host_of(name) or name.lower() for name in allowed_hosts)
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):  # the application's own start and end
            await self._app(scope, receive, send)
        elif refusal := self._refusal(scope):
            await _refuse(refusal, scope["type"], receive, send)
        elif scope["type"] == "http" and self._auth and scope["path"] == PROOF_PATH:
            await self._prove(scope, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = _headers(scope)
        hosts = headers.get("host", [])
        called = (scope.get("server") or ("",))[0]  # the address of this machine that the connection came to
        if len(hosts) != 1 or _host_of(hosts[0]) not in {*self._named, *LOCAL_HOSTS, called} - {""}:
            return Refusal(400, "This server does not go by this name (Host); see allowed hosts in docs/operations.md.")
        if any(not _is_same_site(origin, hosts[0], self._named) for origin in headers.get("origin", [])):
            return Refusal(403, "Requests of other web sites (Origin) are refused.")
        if _has_simple_body(headers):
            return Refusal(415, "Send application/json.")
        return None

    async def _prove(self, scope: Scope, send: Send) -> None:
        nonce = parse_qs(scope["query_string"].decode("ascii", "replace")).get("nonce", [""])[0]
        if not _NONCE.fullmatch(nonce):
            await _answer(400, "nonce: expected 32 hex digits", send)
        else:
            await _answer(200, proof(self._auth, nonce, scope["server"][1]), send)


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _host_of(netloc: str) -> str:
    """`host` of host, host:port and [host]:port; "" if it is none of them."""
    try:
        parts = urlsplit(f"//{netloc}")
        _ = parts.port  # raises ValueError if it is no number
    except ValueError:
        return ""
    return "" if "@" in netloc or parts.netloc != netloc else (parts.hostname or "")


def _is_same_site(origin: str, host: str, named: Collection[str]) -> bool:
    """Whether a page of this server's, or of a name that the user has allowed, asks; `origin`: scheme://host:port."""
    scheme, _, netloc = origin.partition("://")
    if scheme not in ("http", "https"):
        return False
    return netloc.lower() == host.lower() or _host_of(netloc) in named


def _has_simple_body(headers: dict[str, list[str]]) -> bool:
    """Whether the body is of a type that browsers send to other sites without asking."""
    has_body = headers.get("content-length", ["0"]) != ["0"] or "transfer-encoding" in headers
    return has_body and any(
        kind.partition(";")[0].strip().lower() in _SIMPLE_TYPES for kind in headers.get("content-type", [])
    )


async def _refuse(refusal: Refusal, kind: str, receive: Receive, send: Send) -> None:
    if kind == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.text})
    else:
        await _answer(refusal.status, refusal.text, send)


async def _answer(status: int, text: str, send: Send) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
