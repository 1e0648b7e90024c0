"""Who is let through to the API server, and how a server proves that it is ours."""

import asyncio
import http.server
import socket
import subprocess
import sys
import threading

import pytest
from probes import ROOT

from deployments.api_server import allowed_hosts
from lib.runtime.api_client import ApiClient
from lib.runtime.children import listen_locally
from lib.runtime.gate import PROOF_PATH, Gate
from lib.runtime.login import Login, proof

ADDRESS, PORT = "10.0.0.7", 4200
NONCE = "0123456789abcdef" * 2


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


def ask(gate: Gate, headers: dict[str, str], path: str = "/api/flows/filter", query: str = "", kind: str = "http"):
    """Status and text of the answer; of a web socket the close code and reason."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": f"{kind}.connect"}

    listed = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": listed,
        "server": (ADDRESS, PORT),
    }
    asyncio.run(gate(scope, receive, send))
    return sent[0].get("status", sent[0].get("code")), sent[-1].get("body", b"").decode()


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4200", "localhost", "LOCALHOST:9", "[::1]:4200", "box.lan:80", f"{ADDRESS}:4200"]
)
def test_it_goes_by_its_names(host):
    assert ask(Gate(application, ["box.lan"]), {"Host": host}) == (200, "inside")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "10.0.0.8",
        "127.0.0.1.evil.example:4200",
        "",
        "evil@localhost",
        "localhost:x",
        "localhost/a",
        "[::1",
    ],
)
def test_it_does_not_go_by_other_names(host):
    assert ask(Gate(application, ["box.lan"]), {"Host": host})[0] == 400
    assert ask(Gate(application, ["box.lan"]), {"Host": host}, kind="websocket")[0] == 1008
    assert ask(Gate(application), {})[0] == 400


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:4200", 200),
        ("https://box.lan", 200),  # a proxy that is known by this name
        ("http://localhost:9999", 403),  # another local server's page
        ("http://127.0.0.1:4200", 403),  # not the name that the page was got by
        ("http://evil.example", 403),
        ("https://box.lan.evil.example", 403),
        ("null", 403),
        ("", 403),
        ("file://localhost:4200", 403),
    ],
)
def test_pages_of_other_sites_are_refused(origin, status):
    gate, headers = Gate(application, ["box.lan"]), {"Host": "localhost:4200", "Origin": origin}
    assert ask(gate, headers)[0] == status
    if status != 200:
        assert ask(gate, headers, kind="websocket")[0] == 1008


@pytest.mark.parametrize(
    ("kind", "length", "status"),
    [
        ("application/json", "2", 200),
        ("text/plain", "2", 415),
        ("Text/Plain; charset=utf-8", "2", 415),
        ("application/x-www-form-urlencoded", "2", 415),
        ("multipart/form-data; boundary=x", "2", 415),
        ("text/plain", "0", 200),
    ],
)
def test_json_that_comes_as_something_else_is_refused(kind, length, status):
    headers = {"Host": "localhost", "Content-Type": kind, "Content-Length": length}
    assert ask(Gate(application), headers)[0] == status
    if status != 200:
        del headers["Content-Length"]
        assert ask(Gate(application), {**headers, "Transfer-Encoding": "chunked"})[0] == status


def test_the_proof_is_of_the_secret_and_of_the_port():
    gate = Gate(application, auth="a:b")
    answer = ask(gate, {"Host": "localhost"}, PROOF_PATH, f"nonce={NONCE}")
    assert answer == (200, proof("a:b", NONCE, PORT))
    assert len({proof("a:b", NONCE, PORT), proof("a:b", NONCE, 1), proof("a:c", NONCE, PORT)}) == 3
    assert ask(gate, {"Host": "localhost"}, PROOF_PATH, "nonce=short")[0] == 400
    assert ask(Gate(application), {"Host": "localhost"}, PROOF_PATH, f"nonce={NONCE}") == (200, "inside")
    assert ask(gate, {"Host": "evil.example"}, PROOF_PATH, f"nonce={NONCE}")[0] == 400


@pytest.mark.parametrize("knows", ["nothing", "the secret, for another port", "no such page"])
def test_somebody_else_who_answers_is_not_believed_and_told_nothing(knows):
    login, heard = Login.new(), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(f"{self.requestline}\n{self.headers}")
            nonce = self.path.partition("nonce=")[2]
            answer = {"nothing": nonce, "no such page": ""}.get(knows, proof(login.auth, nonce, PORT)).encode()
            self.send_response(404 if not answer else 200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert not ApiClient(server.server_port, login).proves_itself(10)
        server.shutdown()
    assert len(heard) == 1
    assert "authorization" not in heard[0].lower()
    assert login.auth not in heard[0]


@pytest.mark.parametrize("option", ["none", "SO_REUSEADDR"])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_the_port_of_a_run_is_nobody_elses(option, address):
    with listen_locally() as ours, listen_locally() as another, socket.socket() as taker:
        assert ours.getsockname() != another.getsockname()
        if option != "none":
            taker.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        with pytest.raises(OSError, match="in use"):
            taker.bind((address, ours.getsockname()[1]))
            taker.listen()


def test_a_box_whose_port_is_taken_is_told_so():
    with listen_locally() as other:
        address = {"PREFECT_SERVER_API_HOST": "127.0.0.1", "PREFECT_SERVER_API_PORT": str(other.getsockname()[1])}
        command = [sys.executable, "-m", "deployments.api_server"]
        done = subprocess.run(command, env=address, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
    assert address["PREFECT_SERVER_API_PORT"] in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_secrets_differ_and_are_not_shown():
    one, two = Login.new(), Login.new()
    assert one.auth != two.auth
    assert one.auth not in repr(one)
    assert len(one.auth.partition(":")[2]) == 43  # 256 bits


def test_allowed_hosts_come_from_the_environment():
    assert allowed_hosts({"AUTO_REFINE_ALLOWED_HOSTS": " a.lan, ,b.lan "}) == ("a.lan", "b.lan")
    assert allowed_hosts({"PREFECT_SERVER_API_HOST": "10.0.0.1"}) == ("10.0.0.1",)
    assert allowed_hosts({}) == ()
