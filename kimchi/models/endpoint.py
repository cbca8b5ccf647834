"""The client of OpenAI-compatible servers (vLLM, NIM, a Backend.AI model service, `transformers serve`): many requests in flight, none lost."""

import asyncio
import base64
import io
import ipaddress
import json
import logging
import math
import os
import queue
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from kimchi.data.files import sha256
from kimchi.errors import EndpointError, RecipeError
from kimchi.recipes import Writer

from .prompts import Message

if TYPE_CHECKING:
    import httpx2
    from PIL import Image

_LOG = logging.getLogger(__name__)
_NETWORKS = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10")
_PRIVATE = [ipaddress.ip_network(network) for network in _NETWORKS]
"""Loopback, private, link-local and unique-local addresses. Python's own is_private is wider and would let benchmark and reserved ranges pass."""
_HOPELESS = {401: "turns the key away", 403: "turns the key away", 404: "knows no such address or model", 405: "takes no chat completions at this address"}
_SILENT = "silent"
_FIRST_WAIT_S, _LONGEST_WAIT_S, _LONGEST_RETRY_AFTER_S = 0.5, 30.0, 60.0
_SILENT_IN_A_ROW, _FAILED_IN_A_ROW = 10, 100
"""Records given up in a row after which the run stops: where no answer came at all, and where every answer was of no use."""
_LONGEST_REPLY_BYTES = 4 << 20
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request."""

    key: str
    """Of the request."""
    text: str
    """Stripped of white space at both ends; empty when there is an error."""
    error: str = ""
    """Why there is no text, a sentence."""
    silent: bool = False
    """True where no answer of any kind came."""


_Start = Callable[[Coroutine[Any, Any, Reply]], object]


class _Failed(Exception):
    """One request came to nothing."""

    def __init__(self, kind: str, told: str, *, again: bool = True, after_s: float | None = None) -> None:
        super().__init__(told)
        self.kind, self.again, self.after_s = kind, again, after_s


class Endpoint:
    """A model behind an OpenAI-compatible server. Its key comes from the environment for as long as a run lasts, and is written nowhere.

    Raises:
        RecipeError: no http(s) address, no model, or a server outside the private network without `data_may_leave: true`.
        EndpointError: the host's name cannot be resolved.
    """

    def __init__(self, section: Writer) -> None:
        self.section, self.counts = section, Counter[str]()
        self.address = section.endpoint.rstrip("/")
        self._url = _checked_url(self.address)
        if not section.model:
            raise RecipeError(f"model: is empty, and {self.address} must be told which model to use. Set it to a name that {self.address}/models lists.")
        self._private = _private_addresses(self._url, section.data_may_leave)
        self.model_hash = sha256(f"{self.address}\n{section.model}".encode())
        self._failed_in_a_row = self._silent_in_a_row = 0

    def answers(self, requests: Iterator[tuple[str, list[dict[str, Any]]]]) -> Generator[Reply]:
        """A reply for each keyed conversation, as soon as it is there; at most `concurrency` conversations are taken ahead of the replies given.

        Rate limits (429), faults of the server (5xx), silence and nonsense are tried again; a record that stays without an answer gets
        an error. Closing the generator drops what is in flight.

        Raises:
            EndpointError: a wrong key, address or model, or record after record without an answer.
        """
        key, done, pending, fatal = _read_key(self.section.key_env), queue.SimpleQueue[asyncio.Task[Reply]](), 0, None
        clients = _Clients(self._maker(key))
        with _background(clients, done) as start:
            try:
                for name, messages in requests:
                    start(self._ask(clients, name, self._body(messages), key))
                    pending += 1
                    while pending >= self.section.concurrency or not done.empty():
                        reply, pending = done.get().result(), pending - 1
                        yield self._counted(reply)
                for _ in range(pending):
                    yield self._counted(done.get().result())
            except EndpointError as error:
                fatal = error
            while fatal and not done.empty():
                if not (finished := done.get()).exception() and finished.result().text:
                    self.counts["answered"] += 1
                    yield finished.result()
        self._tell()
        if fatal:
            raise fatal

    def _body(self, messages: list[dict[str, Any]]) -> bytes:
        section = self.section
        body: dict[str, Any] = {
            "model": section.model, "messages": messages, "max_tokens": section.max_new_tokens, "temperature": section.temperature, "stream": False,
        }  # fmt: skip
        return json.dumps({**body, "seed": section.seed} if section.temperature else body).encode()

    def _maker(self, key: str) -> "Callable[[], httpx2.AsyncClient]":
        import httpx2

        headers = {"Content-Type": "application/json", "Host": self._url.netloc} | ({"Authorization": f"Bearer {key}"} if key else {})
        # A proxy of the environment would carry private traffic out of the house; its certificates are still wanted. Plain http needs none.
        trust_env, verify = not self._private, httpx2.create_ssl_context() if self._url.scheme == "https" else False
        # vLLM closes a connection that has idled for 5 s, and a request sent into that moment is lost.
        limits = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=4.0)
        return lambda: httpx2.AsyncClient(
            headers=headers, follow_redirects=False, timeout=self.section.timeout_s, trust_env=trust_env, verify=verify, limits=limits
        )  # fmt: skip

    async def _ask(self, clients: "_Clients", name: str, body: bytes, key: str) -> Reply:
        attempts, told, silent = self.section.attempts, "", False
        for attempt in range(1, attempts + 1):
            try:
                async with asyncio.timeout(self.section.timeout_s):
                    return Reply(name, await self._once(clients, body))
            except TimeoutError:
                failed = _Failed(_SILENT, f"no answer within {self.section.timeout_s:g} s")
            except _Failed as error:
                failed = error
            told, silent = _without(key, str(failed)), failed.kind == _SILENT
            self._note(failed.kind, told)
            if not failed.again:
                return Reply(name, "", f"the endpoint refused it: {told}")
            if attempt < attempts:
                await asyncio.sleep(_wait_s(attempt, failed.after_s))
        return Reply(name, "", f"the endpoint gave no text in {attempts} attempts; the last time: {told}", silent)

    async def _once(self, clients: "_Clients", body: bytes) -> str:
        import httpx2

        url, extensions = self._target()
        try:
            with clients.lent() as client:
                async with client.stream("POST", url, content=body, extensions=extensions) as response:
                    content = await _read(response)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise _Failed(_SILENT, f"no answer ({type(error).__name__})") from error
        if not response.is_success:
            raise self._refusal(response.status_code, response.headers.get("Retry-After", ""), content)
        return _text(content)

    def _target(self) -> tuple[str, dict[str, Any]]:
        """Where requests go. A private host is met at the address that was checked: a name may point elsewhere a second later."""
        if not self._private:
            return f"{self.address}/chat/completions", {}
        host = f"[{self._private[0]}]" if ":" in self._private[0] else self._private[0]
        port = f":{self._url.port}" if self._url.port else ""
        return f"{self._url.scheme}://{host}{port}{self._url.path}/chat/completions", {"sni_hostname": self._url.hostname}

    def _refusal(self, status: int, retry_after: str, content: bytes) -> Exception:
        said = f"HTTP {status}: {' '.join(content.decode(errors='replace').split())}"
        if 300 <= status < 400:
            return EndpointError(
                f"endpoint: {self.address} answers with a redirect ({status}), which is not followed, since it may lead out of the private "
                "network. Set endpoint to the address it leads to."
            )
        if status in _HOPELESS:
            # Its words stay out: servers quote the key they refuse, in whole or in part.
            return EndpointError(
                f"endpoint: {self.address} {_HOPELESS[status]} (HTTP {status}; model {self.section.model!r}, key from ${self.section.key_env}). "
                f"Compare endpoint and model with what {self.address}/models lists, and put a valid key into that variable."
            )
        if status == 429:
            return _Failed("busy (429)", said, after_s=_retry_after_s(retry_after))
        if status >= 500 or status in (408, 409, 425):
            return _Failed("fault (5xx)", said, after_s=_retry_after_s(retry_after))
        return _Failed("refused (4xx)", said, again=False)

    def _note(self, kind: str, told: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            _LOG.warning("%s: %s", self.address, told)

    def _counted(self, reply: Reply) -> Reply:
        """Count a reply.

        Raises:
            EndpointError: one too many without an answer.
        """
        self.counts["given up" if reply.error else "answered"] += 1
        self._failed_in_a_row = self._failed_in_a_row + 1 if reply.error else 0
        self._silent_in_a_row = self._silent_in_a_row + 1 if reply.silent else 0
        if self._silent_in_a_row >= _SILENT_IN_A_ROW or self._failed_in_a_row >= _FAILED_IN_A_ROW:
            raise EndpointError(
                f"endpoint: {self.address} failed for {self._failed_in_a_row} records in a row ({reply.error}). "
                "Look after the server and run the same command again: what was answered is kept."
            )
        return reply

    def _tell(self) -> None:
        if troubles := {kind: count for kind, count in self.counts.items() if kind != "answered"}:
            _LOG.warning("%s: %d answered; %s", self.address, self.counts["answered"], ", ".join(f"{count} x {kind}" for kind, count in troubles.items()))


def with_picture(messages: list[Message], image: "Image.Image") -> list[dict[str, Any]]:
    """Messages as endpoints take them, an RGB picture (as JPEG) before the words of the user's first."""
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=_JPEG_QUALITY)
    url = f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"
    first = next(i for i, message in enumerate(messages) if message["role"] == "user")
    picture = {"type": "image_url", "image_url": {"url": url}}
    content = [picture, {"type": "text", "text": messages[first]["content"]}]
    return [{**message, "content": content} if i == first else dict(message) for i, message in enumerate(messages)]


def _checked_url(address: str) -> SplitResult:
    try:
        url = urlsplit(address)
        whole = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        raise RecipeError(f"endpoint: {address!r} is no address. Write it as http://127.0.0.1:8000/v1.") from None
    if url.username or url.password or url.query or url.fragment:
        # Not quoted: what stands there may be a key.
        raise RecipeError("endpoint: holds a user, a query or a fragment, and a key belongs into the environment variable that key_env names. Remove it.")
    if not whole:
        raise RecipeError(f"endpoint: {address!r} is no http or https address. Write it as http://127.0.0.1:8000/v1.")
    return url


def _private_addresses(url: SplitResult, data_may_leave: bool) -> list[str]:
    """The host's addresses, one that answers first; empty for a host outside the private network to which data may go."""
    host = url.hostname or ""
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(host, url.port or (443 if url.scheme == "https" else 80), type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        if data_may_leave:
            return []  # a proxy of the environment may know the name
        raise EndpointError(f"endpoint: the name {host} cannot be resolved ({error}). Mend the address, or start the network.") from error
    outside = [address for address in found if not _is_private(address)]
    if not outside:
        return _answering_first(found, url)
    if not data_may_leave:
        raise RecipeError(
            f"endpoint: {host} ({outside[0]}) lies outside the private network, and AIHub's terms count sending its pictures and labels abroad as "
            "export. Serve the model inside your network, or set data_may_leave: true where the data's terms let it leave."
        )
    if url.scheme != "https":
        raise RecipeError(f"endpoint: {host} lies outside the private network, and plain http shows data and key to everyone on the way. Use https.")
    return []


def _is_private(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    # ::ffff:8.8.8.8 is a way to write 8.8.8.8, and is judged as that.
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip in net for net in _PRIVATE if net.version == ip.version)


def _answering_first(addresses: list[str], url: SplitResult) -> list[str]:
    """localhost is often ::1 and 127.0.0.1, with a server at one of them."""
    for address in addresses if len(addresses) > 1 else []:
        try:
            socket.create_connection((address, url.port or (443 if url.scheme == "https" else 80)), timeout=1).close()
        except OSError:
            continue
        return [address]
    return addresses


def _read_key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    # A client would quote a header it cannot send, key and all.
    if not (key.isascii() and (key.isprintable() and " " not in key)):
        raise EndpointError(f"${variable}: holds characters that no key has (white space, or letters beyond ASCII). Put the key alone into it.")
    return key


def _without(key: str, told: str) -> str:
    """Words of a server on one short line. It may quote the key; nothing that we say does."""
    told = told.replace(key, "[key]") if key else told
    return told[:200].strip()


async def _read(response: "httpx2.Response") -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > _LONGEST_REPLY_BYTES:
            raise _Failed("nonsense", f"a reply of more than {_LONGEST_REPLY_BYTES >> 20} MiB")
    return bytes(content)


def _text(content: bytes) -> str:
    try:
        text = json.loads(content)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _Failed("nonsense", f"no chat completion: {' '.join(content.decode(errors='replace').split()) or 'nothing'}") from None
    if not isinstance(text, str) or not text.strip():
        raise _Failed("nonsense", "an empty text")
    return text.strip()


def _retry_after_s(header: str) -> float | None:
    """Seconds that a Retry-After asks for, as a number or as a date; None where it says neither."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_S) if math.isfinite(seconds) else None


def _wait_s(attempt: int, after_s: float | None) -> float:
    """Exponential back-off with full jitter: any time up to the limit, so that those turned away together do not come back together.

    Source: M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
    """
    jitter = random.uniform(0, min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt))
    return jitter if after_s is None else after_s + min(jitter, 1.0)


class _Clients:
    """A client for every request in flight, used again. A shared one polls all its idle connections for every request: half the time at 64."""

    def __init__(self, make: "Callable[[], httpx2.AsyncClient]") -> None:
        self._make, self._free, self._all = make, list["httpx2.AsyncClient"](), list["httpx2.AsyncClient"]()

    @contextmanager
    def lent(self) -> "Generator[httpx2.AsyncClient]":
        if not self._free:
            self._free.append(self._make())
            self._all.append(self._free[-1])
        client = self._free.pop()
        try:
            yield client
        finally:
            self._free.append(client)

    async def close(self) -> None:
        for client in self._all:
            await client.aclose()


@contextmanager
def _background(clients: _Clients, done: "queue.SimpleQueue[asyncio.Task[Reply]]") -> Generator[_Start]:
    """What starts a task in an event loop in a thread of its own; at the end neither tasks, connections nor thread are left.

    A thread, so that replies come in while their reader is busy, and so that a notebook, which has a loop of its own, can be the reader.

    Args:
        done: gets each task when it has ended.
    """
    loop, tasks = asyncio.new_event_loop(), set[asyncio.Task[Reply]]()
    thread = threading.Thread(target=loop.run_forever, name="kimchi-endpoint", daemon=True)
    thread.start()

    def begin(work: Coroutine[Any, Any, Reply]) -> None:
        tasks.add(task := loop.create_task(work))
        task.add_done_callback(tasks.discard)
        task.add_done_callback(done.put)

    async def finish() -> None:
        # These alone: what they started in turn is theirs to end, and ended over their heads it complains of never having been awaited.
        for task in (unfinished := list(tasks)):
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await clients.close()
        await loop.shutdown_default_executor()

    try:
        yield lambda work: loop.call_soon_threadsafe(begin, work)
    finally:
        asyncio.run_coroutine_threadsafe(finish(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
