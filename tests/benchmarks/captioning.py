"""The two bars of captioning, measured on this machine and printed beside what they should be.

    python tests/benchmarks/captioning.py                     both: under a minute
    python tests/benchmarks/captioning.py --part endpoint
    python tests/benchmarks/captioning.py --part local --model FOLDER --pictures 64

Both are ratios within one run, so another machine's speed does not matter. A bar that is missed is printed as missed.
"""

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any

from kimchi.models.endpoint import Endpoint
from kimchi.models.places import weights_folder
from kimchi.models.prompts import load_prompt
from kimchi.recipes import Writer

LATENCY_S, IN_FLIGHT = 0.2, 64
FIRST_SEED = 8_000_000
"""Of the pictures that are described: none that anything was trained on."""
SERVER = """
import asyncio, json

ANSWER = json.dumps({"choices": [{"message": {"role": "assistant", "content": "A white plate of green leaves."}}]}).encode()
REPLY = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(ANSWER), ANSWER)

async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\\r\\n")[0]))
            await asyncio.sleep(LATENCY)
            writer.write(REPLY)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@contextlib.contextmanager
def _serving() -> Generator[str]:
    code = SERVER.replace("LATENCY", str(LATENCY_S))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        finally:
            server.kill()


def _asked(count: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    words = load_prompt("refine_ko").sections["system"]
    return ((str(i), [{"role": "system", "content": words}, {"role": "user", "content": f"{i}"}]) for i in range(count))


def endpoint(requests: int) -> None:
    """Requests a second, against as many as the latency allows."""
    with _serving() as address:
        client = Endpoint(Writer(part="llama", model="any", endpoint=address, concurrency=IN_FLIGHT))
        began, worked = time.perf_counter(), time.process_time()
        answered = sum(bool(reply.text) for reply in client.answers(_asked(requests)))
        seconds, worked = time.perf_counter() - began, time.process_time() - worked
    # The last, partial wave takes as long as a full one.
    ideal = -(-requests // IN_FLIGHT) * LATENCY_S
    share, rate = ideal / seconds, answered / seconds
    print(f"endpoint: {answered} of {requests} answered, {rate:.0f} a second with {IN_FLIGHT} in flight and {LATENCY_S * 1000:.0f} ms of latency")
    print(f"endpoint: {1000 * worked / requests:.2f} ms of processor a request; on a machine that is busy otherwise the rest is waiting for it")
    print(f"endpoint: {share:.0%} of the ideal throughput, bar 90 %: {_verdict(share >= 0.9)}")


def local(model: str, count: int, batch: int, device: str) -> None:
    """Time of one-by-one over time of batched, and whether the answers are the same."""
    if model == "mini" and not (weights_folder() / "mini-llava" / "config.json").is_file():
        print("local: not measured, since the mini LLaVA is not there yet")
        return
    from kimchi.models.llama import find_checkpoint
    from kimchi.models.llava import Llava

    llava = Llava.load(find_checkpoint(model, "", "mini-llava"), device)
    messages = load_prompt("mini_describe_en" if model == "mini" else "describe_en").messages({})
    shown = _pictures(count)
    list(llava.answers(iter(shown[:2]), messages, batch=2, max_new_tokens=4))  # warm
    alone, alone_s = _timed(llava, shown, messages, 1)
    together, together_s = _timed(llava, shown, messages, batch)
    same, ratio = sum(alone[key] == text for key, text in together.items()), alone_s / together_s
    print(
        f"local: {count} pictures, one by one {count / alone_s:.1f} a second, by {batch} {count / together_s:.1f} a second, {same} of {count} answers the same"
    )
    print(f"local: batched {ratio:.1f} times as fast, bar 4 times and the same answers: {_verdict(ratio >= 4 and same == count)}")


def _timed(llava: Any, shown: list[Any], messages: Any, batch: int) -> tuple[dict[str, str], float]:
    began = time.perf_counter()
    return dict(llava.answers(iter(shown), messages, batch=batch, max_new_tokens=64)), time.perf_counter() - began


def _pictures(count: int) -> list[Any]:
    from kimchi.data.sample_world import pictures, worlds

    concepts = worlds("general")
    drawn = pictures(concepts, -(-count // len(concepts)), FIRST_SEED)
    return [(str(i), picture.render()) for i, picture in enumerate(islice(drawn, count))]


def _verdict(held: bool) -> str:
    return "held" if held else "MISSED"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", choices=["local", "endpoint"], action="append")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--requests", type=int, default=1280)
    given = parser.parse_args()
    if not given.part or "endpoint" in given.part:
        endpoint(given.requests)
    if not given.part or "local" in given.part:
        local(given.model, given.pictures, given.batch, given.device)


if __name__ == "__main__":
    main()
