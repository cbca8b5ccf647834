"""The endpoint's client against real servers on loopback: nothing is lost, nothing leaks, and what cannot work stops the run in one paragraph."""

import asyncio
import http.server
import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from PIL import Image

from kimchi.errors import EndpointError, RecipeError
from kimchi.models import endpoint as module
from kimchi.models.endpoint import Endpoint, with_picture
from kimchi.recipes import Writer

KEY = "sk-kimchi-0123456789abcdef"
Answering = Callable[[str, int], Any]
"""The user's words and how often they have come, counted from 1 => status, headers and body; "silence" or "hang up"."""


class Server:
    """An OpenAI-shaped server in a thread of its own."""

    def __init__(self, answering: Answering) -> None:
        self.answering, self.seen, self.bodies, self.headers = answering, Counter[str](), list[Any](), list[Any]()
        self.lock, self.over, self.in_flight, self.most_in_flight = threading.Lock(), threading.Event(), 0, 0

    def handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        words = body["messages"][-1]["content"]
        words = words if isinstance(words, str) else words[-1]["text"]
        with self.lock:
            self.seen[words] += 1
            self.bodies.append(body)
            self.headers.append(dict(request.headers))
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            nth = self.seen[words]
        try:
            self.reply(request, self.answering(words, nth))
        finally:
            with self.lock:
                self.in_flight -= 1

    def reply(self, request: http.server.BaseHTTPRequestHandler, answer: Any) -> None:
        if answer == "silence":
            self.over.wait(20)
        if isinstance(answer, str):
            request.close_connection = True
            return
        status, headers, content = answer
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        request.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)


def says(text: str) -> Any:
    return 200, {}, {"choices": [{"message": {"role": "assistant", "content": text}}]}


@contextmanager
def serving(answering: Answering) -> Generator[tuple[Server, str]]:
    server = Server(answering)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

        def do_POST(self) -> None:
            server.handle(self)

        def log_message(self, format: str, *args: Any) -> None: ...

    class Quiet(http.server.ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None: ...

    listening = Quiet(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{listening.server_address[1]}/v1"
    finally:
        server.over.set()
        listening.shutdown()
        listening.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_WAIT_S", 0.005)
    monkeypatch.delenv("KIMCHI_ENDPOINT_KEY", raising=False)


def section(address: str, **settings: Any) -> Writer:
    return Writer.model_validate({"part": "llama", "model": "some/model", "endpoint": address, "concurrency": 4, "timeout_s": 5, **settings})


def asked(count: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    return ((f"key {i}", [{"role": "user", "content": f"question {i}"}]) for i in range(count))


def client_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("kimchi-endpoint")]


def test_every_request_is_answered_and_the_source_is_read_lazily() -> None:
    pulled, given, ahead = 0, 0, 0

    def source() -> Iterator[tuple[str, list[dict[str, Any]]]]:
        nonlocal pulled, ahead
        for item in asked(40):
            pulled += 1
            ahead = max(ahead, pulled - given)
            yield item

    def slowly(words: str, nth: int) -> Any:
        time.sleep(0.01)
        return says(f"  {words}?\n")

    replies = {}
    with serving(slowly) as (server, address):
        for reply in Endpoint(section(address, max_new_tokens=9)).answers(source()):
            given += 1
            replies[reply.key] = reply.text
    assert replies == {f"key {i}": f"question {i}?" for i in range(40)}
    assert server.most_in_flight == 4 and ahead <= 5
    assert {name: server.bodies[0][name] for name in ("model", "max_tokens", "temperature", "stream")} == {
        "model": "some/model", "max_tokens": 9, "temperature": 0.0, "stream": False,
    }  # fmt: skip
    assert not client_threads()


TROUBLES = {
    "429": (429, {"Retry-After": "0"}, {"error": "slow down"}),
    "500": (500, {}, b"<html>oops</html>"),
    "503 with a date": (503, {"Retry-After": "Sat, 21 Nov 2020 00:00:00 GMT"}, b""),
    "not JSON": (200, {}, b"<html>welcome</html>"),
    "no choices": (200, {}, {"choices": []}),
    "no text": (200, {}, {"choices": [{"message": {"content": None}}]}),
    "empty text": says(" \n"),
    "a list": (200, {}, [1, 2]),
    "not UTF-8": (200, {}, b"\xff\xfe\x00"),
    "deep": (200, {}, b"[" * 100_000),
    "hangs up": "hang up",
    "too short a body": (200, {"Content-Length": "500", "Connection": "close"}, b"{}"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_passing_trouble_is_tried_again(trouble: str) -> None:
    with serving(lambda words, nth: TROUBLES[trouble] if nth == 1 and words.endswith(("1", "4")) else says(words)) as (server, address):
        client = Endpoint(section(address))
        replies = {reply.key: reply.text for reply in client.answers(asked(6))}
    assert replies == {f"key {i}": f"question {i}" for i in range(6)}
    assert sum(server.seen.values()) == 8 and client.counts["answered"] == 6
    assert sum(count for kind, count in client.counts.items() if kind != "answered") == 2


@pytest.mark.parametrize("trouble", ["429", "500", "not JSON", "hangs up"])
def test_a_lasting_trouble_costs_its_record_alone(trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(lambda words, nth: TROUBLES[trouble] if words.endswith("3") else says(words)) as (server, address):
        client = Endpoint(section(address, attempts=3))
        replies = {reply.key: reply for reply in client.answers(asked(8))}
    assert {key for key, reply in replies.items() if reply.error} == {"key 3"} and len(replies) == 8
    assert "3 attempts" in replies["key 3"].error and server.seen["question 3"] == 3
    assert client.counts["given up"] == 1 and "7 answered" in caplog.text


def test_a_refused_record_is_not_sent_again() -> None:
    too_long = (400, {}, {"error": "this model's context is 4096 tokens"})
    with serving(lambda words, nth: too_long if words.endswith("2") else says(words)) as (server, address):
        replies = {reply.key: reply for reply in Endpoint(section(address)).answers(asked(4))}
    assert "4096 tokens" in replies["key 2"].error and server.seen["question 2"] == 1 and replies["key 3"].text


def test_silence_ends_the_run_after_giving_what_was_answered() -> None:
    kept: list[str] = []
    told = r"10 records in a row .*within 1 s.*same command"
    with serving(lambda words, nth: says(words) if int(words.split()[1]) < 5 else "silence") as (_, address), pytest.raises(EndpointError, match=told):
        for reply in Endpoint(section(address, timeout_s=1.0, attempts=1, concurrency=16)).answers(asked(100)):
            kept.append(reply.key if reply.text else "")
    assert {key for key in kept if key} == {f"key {i}" for i in range(5)} and not client_threads()


def test_a_server_that_only_fails_ends_the_run() -> None:
    with serving(lambda words, nth: TROUBLES["500"]) as (server, address), pytest.raises(EndpointError, match="100 records in a row"):
        list(Endpoint(section(address, attempts=1)).answers(asked(1000)))
    assert sum(server.seen.values()) < 120


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(EndpointError, match=r"10 records in a row .*ConnectError"):
        list(Endpoint(section(address, attempts=2)).answers(asked(100)))


@pytest.mark.parametrize("status", [401, 403, 404, 405, 307])
def test_what_cannot_get_better_stops_at_once(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIMCHI_ENDPOINT_KEY", KEY)
    elsewhere = serving(lambda words, nth: says("from elsewhere"))
    with elsewhere as (other, other_address):
        reply = (status, {"Location": f"{other_address}/chat/completions"}, {"error": f"Incorrect API key provided: {KEY}"})
        with serving(lambda words, nth: reply) as (server, address), pytest.raises(EndpointError) as caught:
            list(Endpoint(section(address)).answers(asked(50)))
    assert sum(server.seen.values()) <= 8 and not other.seen
    assert str(status) in str(caught.value) and KEY not in str(caught.value) and "\n" not in str(caught.value)


def test_the_key_is_sent_and_written_nowhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MY_KEY", f"{KEY}\n")
    caplog.set_level(logging.DEBUG)

    def quoting(words: str, nth: int) -> Any:
        noise = "x" * 190 if words.endswith("0") else ""  # the key straddles the place where what is told is cut
        return says(words) if words.endswith("3") else (400 if words.endswith("2") else 500, {}, f"{noise} bad key {KEY}".encode())

    with serving(quoting) as (server, address):
        client = Endpoint(section(address, key_env="MY_KEY", attempts=2))
        replies = list(client.answers(asked(4)))
    out = capfd.readouterr()
    everything = [caplog.text, repr(client), repr(vars(client)), repr(replies), repr(client.counts), out.out, out.err]
    assert all(headers["Authorization"] == f"Bearer {KEY}" for headers in server.headers)
    assert not [text for text in everything if KEY in text or KEY[:12] in text]
    assert any("[key]" in reply.error for reply in replies)


@pytest.mark.parametrize("key", [f"{KEY}\nHost: elsewhere", f"{KEY} {KEY}", f"{KEY}열쇠"])
def test_a_key_that_cannot_be_sent_is_not_quoted(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIMCHI_ENDPOINT_KEY", key)
    with pytest.raises(EndpointError, match="KIMCHI_ENDPOINT_KEY") as caught:
        list(Endpoint(section("http://127.0.0.1:9/v1")).answers(asked(1)))
    assert KEY not in str(caught.value)


def test_closing_early_drops_what_is_in_flight() -> None:
    with serving(lambda words, nth: says(words) if words.endswith("0") else "silence") as (_, address):
        replies = Endpoint(section(address, timeout_s=60)).answers(asked(50))
        assert next(replies).key == "key 0"
        began = time.monotonic()
        replies.close()
        assert time.monotonic() - began < 2 and not client_threads()


def test_a_fault_of_the_source_passes_and_cleans_up() -> None:
    def broken() -> Iterator[tuple[str, list[dict[str, Any]]]]:
        yield from asked(2)
        raise ZeroDivisionError

    with serving(lambda words, nth: says(words)) as (_, address), pytest.raises(ZeroDivisionError):
        list(Endpoint(section(address)).answers(broken()))
    assert not client_threads()


def test_a_notebook_has_a_loop_of_its_own() -> None:
    async def cell(address: str) -> list[str]:
        return [reply.text for reply in Endpoint(section(address)).answers(asked(2))]

    with serving(lambda words, nth: says(words)) as (_, address):
        assert sorted(asyncio.run(cell(address))) == ["question 0", "question 1"]


def test_a_picture_travels_as_jpeg() -> None:
    messages = with_picture([{"role": "system", "content": "be brief"}, {"role": "user", "content": "what?"}], Image.new("RGB", (8, 8), "red"))
    with serving(lambda words, nth: says(words)) as (server, address):
        assert next(Endpoint(section(address)).answers(iter([("key", messages)]))).text == "what?"
    picture = server.bodies[0]["messages"][1]["content"][0]
    assert picture["type"] == "image_url" and picture["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def getaddrinfo(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: (_ for _ in ()).throw(OSError()))


INSIDE = ["127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "172.31.255.254", "192.168.0.9", "169.254.1.1", "::1", "fd00::5", "fe80::1", "::ffff:10.0.0.1"]
OUTSIDE = [
    "8.8.8.8",
    "172.32.0.1",
    "192.169.0.1",
    "11.0.0.1",
    "100.64.0.1",
    "198.18.0.1",
    "2001:db8::1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", INSIDE)
def test_the_private_network_needs_no_leave(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, address)
    Endpoint(section("http://llm.example:8000/v1"))


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside_it_data_must_be_allowed_to_leave(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for found in ([address], ["10.0.0.1", address], [address, "127.0.0.1"]):
        resolving(monkeypatch, *found)
        with pytest.raises(RecipeError, match=r"llm\.example.*AIHub's terms.*data_may_leave: true"):
            Endpoint(section("https://llm.example/v1"))
    with pytest.raises(RecipeError, match="Use https"):
        Endpoint(section("http://llm.example/v1", data_may_leave=True))
    Endpoint(section("https://llm.example/v1", data_may_leave=True))


def test_the_address_that_was_checked_is_the_one_that_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda words, nth: says(words)) as (server, address):
        named = address.replace("127.0.0.1", "llm.example")
        with monkeypatch.context() as patch:
            resolving(patch, "127.0.0.1")
            client = Endpoint(section(named))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("the name was asked for again"))
        assert [reply.text for reply in client.answers(asked(1))] == ["question 0"]
    assert server.headers[0]["Host"] == named.split("/")[2]


def test_of_several_addresses_the_one_that_answers_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda words, nth: says(words)) as (_, address):
        port = int(address.split(":")[2].split("/")[0])
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("127.0.0.2", "127.0.0.1")]
        with monkeypatch.context() as patch:
            real = socket.create_connection

            def connect(where: Any, **named: Any) -> Any:
                if where[0] == "127.0.0.2":
                    raise OSError
                patch.undo()
                return real(where, **named)

            patch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            patch.setattr(socket, "create_connection", connect)
            client = Endpoint(section(f"http://localhost:{port}/v1"))
        assert [reply.text for reply in client.answers(asked(1))] == ["question 0"]


def test_a_proxy_of_the_environment_sees_nothing_private(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda words, nth: says("by proxy")) as (proxy, proxy_address), serving(lambda words, nth: says(words)) as (_, address):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy_address.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert [reply.text for reply in Endpoint(section(address)).answers(asked(1))] == ["question 0"]
    assert not proxy.seen


@pytest.mark.parametrize("address", ["llm:8000", "ftp://127.0.0.1/v1", "http://", "http://127.0.0.1:99999/v1", "http://127.0.0.1:0/v1", "http://[::1/v1"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(RecipeError, match=r"127\.0\.0\.1:8000/v1"):
        Endpoint(section(address))


@pytest.mark.parametrize("address", [f"http://user:{KEY}@127.0.0.1/v1", f"http://{KEY}@127.0.0.1/v1", f"http://127.0.0.1/v1?key={KEY}"])
def test_a_key_in_the_address_is_refused_and_not_quoted(address: str) -> None:
    with pytest.raises(RecipeError, match="key_env") as caught:
        Endpoint(section(address))
    assert KEY not in str(caught.value)


def test_a_model_must_be_named() -> None:
    with pytest.raises(RecipeError, match="model"):
        Endpoint(section("http://127.0.0.1:9/v1", model=""))


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(EndpointError, match="cannot be resolved"):
        Endpoint(section("http://llm.example/v1"))
    Endpoint(section("https://llm.example/v1", data_may_leave=True))


LATER, EARLIER = "Mon, 01 Jan 2120 00:00:00 GMT", "Sat, 21 Nov 2020 00:00:00 GMT"
WAITS = {"3": 3, "0.5": 0.5, "-4": 0, "900": 60, "": None, "soon": None, "nan": None, "inf": None, EARLIER: 0, LATER: 60}


@pytest.mark.parametrize(("header", "seconds"), WAITS.items())
def test_what_retry_after_says(header: str, seconds: float | None) -> None:
    assert module._retry_after_s(header) == seconds
