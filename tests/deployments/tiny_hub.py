"""A server on this machine that speaks what the hub and a release's assets speak, and can misbehave on request."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LFS = (".safetensors", ".bin", ".pth")


@dataclass(frozen=True)
class Seen:
    """A request."""

    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class TinyHub:
    """Repositories and release files.

    cuts: path's end -> byte counts after which the connection is cut, one a GET of it.
    """

    url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    release: dict[str, bytes] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)  # repository or file: status, error code
    damaged: dict[str, bytes] = field(default_factory=dict)  # path's end: other content than listed
    stalls: dict[str, int] = field(default_factory=dict)  # path's end: bytes after which nothing comes any more
    pages: dict[str, bytes] = field(default_factory=dict)  # path's start: what is answered instead
    knows_ranges: bool = True
    knows_head: bool = True
    loops: bool = False  # whether release files lead to themselves
    seen: list[Seen] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def publish(self, repository: str, folder: Path, also: dict[str, bytes] | None = None) -> None:
        """Everything in a folder, and files besides."""
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.repositories[repository] = {".gitattributes": b"*.bin filter=lfs", **files, **(also or {})}

    def commit(self, repository: str) -> str:
        """Its revision, which depends on the content."""
        whole = hashlib.sha1(usedforsecurity=False)
        for name, content in sorted(self.repositories[repository].items()):
            whole.update(name.encode() + content)
        return whole.hexdigest()

    def fetched(self) -> list[str]:
        """Paths of all files whose bytes were asked for, in order."""
        gets = [seen.path for seen in self.seen if seen.method == "GET"]
        return [path for path in gets if "/cdn/" in path or "/release/" in path or "/resolve/" in path]

    @property
    def cdn(self) -> str:
        """Big files come from another host, as the hub's do."""
        return self.url.replace("127.0.0.1", "localhost")

    def listings(self) -> list[str]:
        return [seen.path for seen in self.seen if seen.path.startswith("/api/")]

    def ranges(self, end: str) -> list[str | None]:
        """The ranges asked for of one file."""
        return [seen.range for seen in self.seen if seen.method == "GET" and seen.path.endswith(end)]


@contextmanager
def tiny_hub() -> Iterator[TinyHub]:
    """The server, until the end of the block."""
    hub = TinyHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: TinyHub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.seen.append(Seen(self.command, path, self.headers.get("Range"), self.headers.get("Authorization")))
        for part, (status, code) in self.hub.refusals.items():
            if part in path:
                return self._send(status, {"X-Error-Code": code} if code else {}, b"{}")
        if page := next((page for start, page in self.hub.pages.items() if path.startswith(start)), None):
            return self._send(200, {}, page)
        if self.command == "HEAD" and not self.hub.knows_head:
            return self._send(405, {}, b"")
        if self.hub.loops and path.startswith("/release/"):
            return self._send(302, {"Location": path}, b"")
        words = path.strip("/").split("/")
        if words[:2] == ["api", "models"]:
            return self._list("/".join(words[2:4]), words[5] if words[4:5] == ["revision"] else None)
        if words[0] == "release":
            return self._file(path, self.hub.release.get(words[1]))
        if words[0] == "cdn":
            return self._file(path, self.hub.repositories["/".join(words[1:3])]["/".join(words[3:])])
        if words[2:3] != ["resolve"]:
            return self._send(404, {}, b"")
        return self._resolve(path, "/".join(words[:2]), words[3], "/".join(words[4:]))

    def _list(self, repository: str, revision: str | None) -> None:
        files = self.hub.repositories.get(repository)
        if files is None:
            return self._send(404, {"X-Error-Code": "RepoNotFound"}, b"{}")
        if revision not in (None, "main", self.hub.commit(repository)):
            return self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"{}")
        siblings = [_sibling(name, content) for name, content in files.items()]
        body = {"id": repository, "sha": self.hub.commit(repository), "siblings": siblings}
        return self._send(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def _resolve(self, path: str, repository: str, revision: str, name: str) -> None:
        content = self.hub.repositories[repository].get(name)
        if content is None or revision != self.hub.commit(repository):
            return self._send(404, {"X-Error-Code": "EntryNotFound"}, b"")
        if not name.endswith(_LFS):
            return self._file(path, content, {"X-Repo-Commit": revision})
        headers = {
            "X-Repo-Commit": revision,
            "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Linked-Size": str(len(content)),
            "Location": f"{self.hub.cdn}/cdn/{repository}/{name}",
        }
        return self._send(302, headers, b"")

    def _file(self, path: str, content: bytes | None, headers: dict[str, str] | None = None) -> None:
        if content is None:
            return self._send(404, {}, b"")
        content = next((other for end, other in self.hub.damaged.items() if path.endswith(end)), content)
        tag = {"ETag": f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"', **(headers or {})}
        wanted = self.headers.get("Range") if self.hub.knows_ranges else None
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if not start:
            return self._send(200, tag, content)
        span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        return self._send(206, {**tag, **span}, content[start:])

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD" or not body:
            return
        cut = self._cut()
        if stall := next((count for end, count in self.hub.stalls.items() if self.path.endswith(end)), 0):
            self.wfile.write(body[:stall])
            self.hub.over.wait(60)
            return
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    def _cut(self) -> int | None:
        for end, counts in self.hub.cuts.items():
            if self.path.endswith(end) and counts:
                return counts.pop(0)
        return None


def _sibling(name: str, content: bytes) -> dict[str, object]:
    digest = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    entry: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": digest}
    if name.endswith(_LFS):
        lfs = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 130}
        entry |= {"lfs": lfs, "blobId": "0" * 40}
    return entry
