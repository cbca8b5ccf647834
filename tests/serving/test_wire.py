"""Connections that behave badly: slow, silent, endless, too many. Each is bounded, and health answers meanwhile."""

import json
import socket
import threading
import time
from typing import Any

import pytest

from .conftest import answer_of, read_all

PROMPT = "한국의 라면을 그려줘"
HEAD = b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
SLOW = json.dumps({"prompt": PROMPT, "steps": 100, "size": "128x128"}).encode()


class TestSlow:
    def test_heads_that_never_end(self, api: Any) -> None:
        began = time.monotonic()
        open_ = [api.connect() for _ in range(20)]
        for one in open_:
            one.sendall(HEAD + b"X-Slow: ")
        assert api.get("/health").status_code == 200
        for one in open_:
            status, body = answer_of(read_all(one))
            assert (status, body["error"]["code"]) == (408, "body_too_slow")
            one.close()
        assert time.monotonic() - began < api.settings.arrive_s + 12

    def test_a_byte_now_and_then(self, api: Any) -> None:
        with api.connect() as open_:
            began = time.monotonic()
            try:
                for byte in HEAD * 10:
                    open_.sendall(bytes([byte]))
                    time.sleep(0.1)
            except OSError:
                pass
            assert time.monotonic() - began < api.settings.arrive_s + 12

    def test_a_body_that_does_not_come(self, api: Any) -> None:
        raw = api.raw(HEAD + b"Accept-Language: ko\r\nContent-Length: 100\r\n\r\n{")
        status, body = answer_of(raw)
        assert (status, body["error"]["code"]) == (408, "body_too_slow")
        assert body["error"]["message"].startswith("3초 안에")

    def test_nothing_at_all(self, api: Any) -> None:
        assert api.raw(b"") == b""

    def test_one_that_never_reads(self, serve: Any) -> None:
        server = serve(read_s=1.0)
        open_ = socket.socket()
        # Small windows on the way, so that pictures fill them.
        open_.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        open_.connect(("127.0.0.1", server.port))
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        open_.settimeout(2)
        try:
            for _ in range(400):
                open_.sendall(ask)
        except OSError:
            pass
        until = time.monotonic() + 20
        while server.server.server_state.connections and time.monotonic() < until:
            time.sleep(0.1)
        assert not server.server.server_state.connections
        open_.close()


class TestTooMuch:
    def test_a_head_without_end(self, api: Any) -> None:
        raw = api.raw(HEAD + b"X-Long: " + b"x" * 400_000)
        status, body = answer_of(raw)
        assert (status, body["error"]["code"]) == (400, "bad_request")

    def test_a_body_larger_than_allowed(self, api: Any) -> None:
        status, body = answer_of(api.raw(HEAD + b"Content-Length: 10000000\r\n\r\n"))
        assert (status, body["error"]["code"]) == (413, "body_too_large")
        assert "65536" in body["error"]["message"]

    def test_a_chunked_body_larger_than_allowed(self, api: Any) -> None:
        chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        status, body = answer_of(api.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3))
        assert (status, body["error"]["code"]) == (413, "body_too_large")

    def test_a_chunked_body_that_is_allowed(self, api: Any) -> None:
        body = json.dumps({"prompt": PROMPT, "steps": 1}).encode()
        raw = api.raw(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        assert answer_of(raw)[0] == 200

    def test_too_many_connections(self, serve: Any) -> None:
        server = serve(connections=5)
        open_ = [server.connect() for _ in range(5)]
        time.sleep(0.3)
        status, body = answer_of(server.raw(b""))
        assert (status, body["error"]["code"]) == (503, "too_many_connections")
        for one in open_:
            one.close()
        time.sleep(0.3)
        assert server.get("/health").status_code == 200

    @pytest.mark.parametrize(
        "content",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 3 + b"NONSENSE\r\n\r\n",
            b"GET \xff HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ],
    )  # fmt: skip
    def test_what_is_no_http(self, api: Any, content: bytes) -> None:
        status, body = answer_of(api.raw(content))
        assert (status, body["error"]["code"]) == (400, "bad_request")
        assert api.get("/health").status_code == 200


class TestLeaving:
    def wait_idle(self, api: Any) -> None:
        until = time.monotonic() + 20
        while (now := api.engine.stats()).waiting or now.drawing:
            assert time.monotonic() < until
            time.sleep(0.02)

    @pytest.mark.parametrize("stream", [False, True])
    def test_whoever_hangs_up_stops_the_drawing(self, api: Any, stream: bool) -> None:
        self.wait_idle(api)
        before = api.engine.stats()
        body = json.dumps({"prompt": PROMPT, "steps": 100, "size": "128x128", "stream": stream}).encode()
        with api.connect() as open_:
            open_.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            while not api.engine.stats().drawing:
                time.sleep(0.005)
        self.wait_idle(api)
        after = api.engine.stats()
        assert (after.cancelled - before.cancelled, after.done - before.done) == (1, 0)

    def test_whoever_hangs_up_leaves_the_queue(self, api: Any) -> None:
        self.wait_idle(api)
        before = api.engine.stats()
        open_ = [api.connect() for _ in range(4)]
        for one in open_:
            one.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(SLOW), SLOW))
            time.sleep(0.05)
        for one in open_:
            one.close()
        self.wait_idle(api)
        after = api.engine.stats()
        assert (after.cancelled - before.cancelled, after.done - before.done) == (4, 0)

    def test_a_full_queue(self, api: Any) -> None:
        self.wait_idle(api)
        statuses: list[int] = []
        heads: list[str] = []

        def ask() -> None:
            response = api.post({"prompt": PROMPT, "steps": 6})
            statuses.append(response.status_code)
            if response.status_code == 429:
                heads.append(response.headers["retry-after"])
                assert response.json()["error"]["code"] == "queue_full"

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        healthy = [api.get("/health").status_code for _ in range(5)]
        for thread in threads:
            thread.join()
        assert set(statuses) == {200, 429} and statuses.count(200) >= 4
        assert all(1 <= int(head) <= 60 for head in heads)
        assert healthy == [200] * 5
