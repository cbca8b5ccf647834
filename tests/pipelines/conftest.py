"""What several tests of the chain stand on: a small delivery, and a server that speaks as vLLM does."""

import http.server
import json
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from kimchi.data.sample_world.delivery import write_delivery


@pytest.fixture(scope="session")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of two dishes, and two that cannot be decoded."""
    path = tmp_path_factory.mktemp("delivery") / "kfood.zip"
    write_delivery(path, ["ramyeon", "gimbap"], 6, seed=0)
    return path


class Server(http.server.ThreadingHTTPServer):
    """Answers whatever it is asked in good order; tests/models/test_endpoint.py has one that misbehaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.asked = list[list[Any]]()
        self.address = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def says(self, messages: list[Any]) -> str:
        """A test puts its own in place of this."""
        return "흰 접시에 담긴 갓김치\n"


class _Talk(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

    def do_POST(self) -> None:
        messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
        self.server.asked.append(messages)
        answer = {"role": "assistant", "content": self.server.says(messages)}
        content = json.dumps({"choices": [{"message": answer}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server() -> Generator[Server]:
    """Listens on loopback while a test runs: `server.address`, `server.asked`, and `server.says` to be replaced."""
    with Server() as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()
