"""The booth over HTTP: gradio_client and plain requests, many visitors, bad input, the staff's switches."""

import base64
import contextlib
import http.client
import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .conftest import PIN, Booth, until

# Gradio reckons its own statistics with pandas after every call, which warns of its own options.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*no_silent_downcasting")
Answer = tuple[int, Any, dict[str, str]]
PROMPT = "노을 진 바닷가의 거북선"


def ask(booth: Booth, path: str, body: Any = None, headers: dict[str, str] | None = None, raw: bytes | None = None) -> Answer:
    """One request, as a browser's script sends it."""
    connection = http.client.HTTPConnection("127.0.0.1", booth.port, timeout=60)
    sent = raw if raw is not None else None if body is None else json.dumps(body).encode()
    connection.request("GET" if sent is None else "POST", path, sent, {"Content-Type": "application/json", **(headers or {})})
    answer = connection.getresponse()
    content: Any = answer.read()
    with contextlib.suppress(ValueError):
        content = json.loads(content)
    connection.close()
    return answer.status, content, dict(answer.getheaders())


def events(booth: Booth, *asked: str, stop: Callable[[dict[str, Any]], bool] = lambda event: False) -> list[dict[str, Any]]:
    """Draw as the page does; every event, up to the end or the one at which the browser is closed."""
    status, joined, _ = ask(booth, "/gradio_api/call/generate", {"data": [*asked, *[""] * (5 - len(asked))]})
    assert status == 200, joined
    connection = http.client.HTTPConnection("127.0.0.1", booth.port, timeout=120)
    connection.request("GET", f"/gradio_api/call/generate/{joined['event_id']}")
    answer, told = connection.getresponse(), list[dict[str, Any]]()
    kind = ""
    try:
        while line := answer.readline().decode().strip("\n"):
            kind = line.removeprefix("event: ")
            data = json.loads(answer.readline().decode().removeprefix("data: "))
            answer.readline()
            if kind == "generating":
                told.append(data[0])
                if stop(data[0]):
                    break
            if kind in ("complete", "error"):
                break
    finally:
        answer.close()
        connection.close()
    return told


def picture(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_gradio_client_draws_by_name(comparing: Booth) -> None:
    from gradio_client import Client

    client = Client(comparing.url, verbose=False, download_files=False)
    told = client.predict(PROMPT, seed="7", api_name="/generate")
    assert told["state"] == "done" and told["seed"] == 7 and set(told["pictures"]) == {"kimchi", "base", "translated"}
    assert picture(told["pictures"]["kimchi"]).size[0] >= 64
    steps = [event["state"] for event in client.submit(PROMPT, api_name="/generate")]
    assert steps[-1] == "done" and "preview" in steps and steps.count("drawn") == 3
    client.close()


def test_what_a_visitor_sees_in_order_and_no_file_is_written(comparing: Booth) -> None:
    told = events(comparing, PROMPT, "", "7")
    arms = [event["arm"] for event in told if event["state"] == "drawn"]
    assert arms == ["kimchi", "base", "translated"], "KIMCHI's own comes first"
    previews = [event for event in told if event["state"] == "preview" and event["arm"] == "kimchi"]
    assert previews and all(picture(one["image"]).mode == "RGB" for one in previews)
    assert next(event for event in told if event.get("arm") == "translated" and event["state"] == "drawn")["prompt_en"]
    assert b"trainedAlgorithmicMedia" in picture(told[-1]["pictures"]["kimchi"]).info["xmp"]
    assert [path for path in (comparing.folder / "tmp").rglob("*")] == []


def test_the_same_seed_draws_the_same(booth: Booth) -> None:
    first, second = (events(booth, PROMPT, "", "11")[-1]["pictures"]["kimchi"] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ("가" * 10_000, "long"),
        ("", "prompt"),
        ("그려줘", "prompt"),
        ("\x00\x07\x1b\u200b", "prompt"),
        ("누드 사진", "blocked"),
    ],
)
def test_bad_prompts_are_refused_in_the_visitor_s_language(booth: Booth, prompt: str, why: str) -> None:
    (ko,) = events(booth, prompt, "", "", "someone", "ko")
    (en,) = events(booth, prompt, "", "", "someone", "en")
    assert (ko["state"], ko["why"], en["why"]) == ("refused", why, why)
    assert any("가" <= sign <= "힣" for sign in ko["message"]) and not any("가" <= sign <= "힣" for sign in en["message"])
    assert "누드" not in ko["message"]


@pytest.mark.parametrize("seed", ["-1", "4294967296", "seven", "7.5"])
def test_a_seed_out_of_range_is_refused(booth: Booth, seed: str) -> None:
    (told,) = events(booth, PROMPT, "", seed)
    assert (told["state"], told["why"]) == ("refused", "seed")


@pytest.mark.parametrize(
    "prompt", ["../../etc/passwd 한복", "한복\x00.png", "<img src=x onerror=alert(1)> 한복", "한복 {prompt} ${7*7} {{7*7}}", "한복\u202egnp.exe"]
)
def test_odd_prompts_are_drawn_as_words_and_name_no_file(booth: Booth, prompt: str) -> None:
    told = events(booth, prompt)[-1]
    assert told["state"] == "done"
    status, content, headers = ask(booth, f"/booth/take/{told['name']}.png")
    assert status == 200 and headers["content-disposition"] == 'inline; filename="kimchi.png"' and Image.open(io.BytesIO(content)).format == "PNG"
    names = sorted(path.name for path in booth.folder.rglob("*"))
    assert set(names) <= {"booth_state.json", "booth_ratings.jsonl", "tmp"}


def test_twenty_taps_are_one_picture(booth: Booth) -> None:
    before = booth.engine.stats().done
    with ThreadPoolExecutor(20) as hands:
        told = list(hands.map(lambda _: events(booth, PROMPT, "", "", "tapper")[-1], range(20)))
    done = [one for one in told if one["state"] == "done"]
    # A tap that comes after the first picture is finished is a new wish.
    assert done and all(one["why"] == "yours" for one in told if one["state"] == "refused")
    assert booth.engine.stats().done - before == len(done) < 20


def test_24_visitors_at_once_get_a_picture_or_a_friendly_word(booth: Booth) -> None:
    with ThreadPoolExecutor(24) as crowd:
        told = list(crowd.map(lambda n: events(booth, PROMPT, "", "", f"visitor {n}")[-1], range(24)))
    kinds = [one.get("why", one["state"]) for one in told]
    assert set(kinds) <= {"done", "busy"} and kinds.count("done") >= 9, "eight places in the queue and one under the brush"
    for one in told:
        if one["state"] == "refused":
            assert "잠시 후 다시" in one["message"] and one["seconds"] >= 1 and one["place"] >= 8
    until(lambda: not booth.engine.stats().drawing)


def test_a_full_queue_says_where_one_would_stand(booth: Booth, hogged: Callable[[int], list[Any]]) -> None:
    hogged(8)
    (told,) = events(booth, PROMPT)
    assert (told["why"], told["place"]) == ("busy", 9) and booth.desk.journal.counts()["busy"] >= 1


def test_a_browser_that_is_closed_stops_the_work(booth: Booth, hogged: Callable[[int], list[Any]]) -> None:
    before = booth.engine.stats().cancelled
    hogged(0)
    events(booth, PROMPT, "", "", "gone", stop=lambda event: event["state"] == "waiting")
    until(lambda: booth.engine.stats().cancelled > before, 20)
    assert booth.desk.takes("gone"), "the place is free for the next wish"


def test_a_page_that_leaves_says_so(booth: Booth, hogged: Callable[[int], list[Any]]) -> None:
    hogged(0)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(events, booth, PROMPT, "", "", "leaver")
        until(lambda: not booth.desk.takes("leaver"))
        assert ask(booth, "/booth/leave", {"visitor": "leaver"})[0] == 200
        assert waiting.result(30)[-1]["why"] == "cancelled"


def test_a_picture_taken_home_is_labelled_and_a_guess_finds_none(booth: Booth) -> None:
    name = events(booth, PROMPT)[-1]["name"]
    status, page, headers = ask(booth, f"/booth/take/{name}", headers={"Accept-Language": "en-US,en;q=0.9"})
    assert status == 200 and b"A picture by KIMCHI" in page and headers["cache-control"] == "no-store"
    assert "KIMCHI가 그린 그림".encode() in ask(booth, f"/booth/take/{name}", headers={"Accept-Language": "ko"})[1]
    picture_ = Image.open(io.BytesIO(ask(booth, f"/booth/take/{name}.png")[1]))
    assert picture_.info["DigitalSourceType"].endswith("trainedAlgorithmicMedia") and "AI 생성" in picture_.info["kimchi"]
    assert "<svg" in ask(booth, f"/booth/take/{name}/qr")[1]["svg"]
    for guess in ("x" * 22, "../state", "%2e%2e/state", name[:-1]):
        assert ask(booth, f"/booth/take/{guess}.png")[0] == 404


def test_a_rating_is_on_the_disk_once_and_without_words(booth: Booth) -> None:
    told = events(booth, PROMPT, "", "5")[-1]
    tap = {"name": told["name"], "value": 3, "seed": 5, "language": "ko", "prompt": "몰래"}
    assert ask(booth, "/booth/rate", tap)[1] == {"kept": True} and ask(booth, "/booth/rate", tap)[1] == {"kept": False}
    for bad in ({**tap, "value": 4}, {**tap, "value": True}, {**tap, "name": 7}, [], "x"):
        assert ask(booth, "/booth/rate", bad)[0] == 400
    assert ask(booth, "/booth/rate", {**tap, "name": "unknown"})[1] == {"kept": False}
    line = json.loads((booth.folder / "booth_ratings.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert (line["value"], line["seed"], line["language"], line["booth"]) == (3, 5, "ko", True) and "몰래" not in str(line)


def test_other_sites_and_large_bodies_are_turned_away(booth: Booth) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert ask(booth, "/booth/rate", {"name": "x", "value": 1}, headers)[0] == 403
    assert ask(booth, "/booth/rate", raw=b"x" * 70_000)[0] == 413
    assert ask(booth, "/gradio_api/call/generate", raw=b"x" * 70_000)[0] == 413


@pytest.mark.parametrize(
    "path", ["/monitoring", "/gradio_api/upload", "/gradio_api/file=/etc/passwd", "/gradio_api/runs", "/gradio_api/proxy=http://x", "/gradio_api/stream/a/b/c"]
)
def test_doors_that_a_booth_does_not_use_are_shut(booth: Booth, path: str) -> None:
    assert ask(booth, path)[0] == 404 and ask(booth, path, {})[0] in (404, 405)


def test_the_page_is_silent_and_keeps_no_history(booth: Booth) -> None:
    _, page, headers = ask(booth, "/")
    text = page.decode()
    assert '"analytics_enabled":false' in text.replace(" ", "") and "fonts.googleapis" not in text and "cdn" not in text.lower().replace("cdnjs", "cdn")
    assert "default-src 'self'" in headers["content-security-policy"] and "unsafe-inline" in headers["content-security-policy"]


def enter(booth: Booth, pin: str = PIN) -> dict[str, str]:
    status, told, headers = ask(booth, "/booth/staff/enter", {"pin": pin})
    assert status == 200 and told == {"inside": True}
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    return {"Cookie": cookie.partition(";")[0]}


def test_nobody_without_the_pin_turns_a_switch(booth: Booth) -> None:
    assert ask(booth, "/booth/staff")[0] == 200
    for path, body in (("status", None), ("switch", {"do": "close"}), ("leave", {})):
        assert ask(booth, f"/booth/staff/{path}", body)[0] == 403
        assert ask(booth, f"/booth/staff/{path}", body, {"Cookie": "kimchi_booth_staff=guess"})[0] == 403
    assert ask(booth, "/booth/staff/enter", {"pin": "0000"})[0] == 403
    inside = enter(booth)
    assert ask(booth, "/booth/staff/switch", {"do": "explode"}, inside)[0] == 400
    assert ask(booth, "/booth/staff/leave", {}, inside)[0] == 200
    assert ask(booth, "/booth/staff/status", None, inside)[0] == 403


def test_the_staff_see_the_day_and_never_a_prompt(booth: Booth) -> None:
    events(booth, "청사초롱")
    events(booth, "누드")
    told = ask(booth, "/booth/staff/status?lang=en", None, enter(booth))[1]
    assert told["counts"]["drawn"] >= 1 and told["counts"]["blocked"] >= 1 and told["engine"] == "ready" and told["checker"] is False
    assert told["reasons"] and "청사초롱" not in json.dumps(told, ensure_ascii=False) and "누드" not in json.dumps(told, ensure_ascii=False)
    assert told["pictures"] and told["memory_mib"] > 0


def test_the_kill_switch_stops_the_brush_and_stays_off(booth: Booth, hogged: Callable[[int], list[Any]]) -> None:
    from kimchi.demo.journal import Journal

    inside, name = enter(booth), events(booth, PROMPT)[-1]["name"]
    hogged(0)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(events, booth, PROMPT, "", "", "unlucky")
        until(lambda: not booth.desk.takes("unlucky"))
        assert ask(booth, "/booth/staff/switch", {"do": "close"}, inside)[1]["open"] is False
        assert waiting.result(30)[-1]["why"] == "closed"
    try:
        assert events(booth, PROMPT)[0]["why"] == "closed" and ask(booth, "/booth/state")[1]["open"] is False
        assert ask(booth, f"/booth/take/{name}.png")[0] == 404 and ask(booth, "/booth/gallery")[1]["pictures"] == []
        assert Journal(booth.folder).closed, "the next start finds it closed"
    finally:
        assert ask(booth, "/booth/staff/switch", {"do": "open"}, inside)[1]["open"] is True


def test_the_staff_block_a_word_and_allow_it_again(booth: Booth) -> None:
    inside = enter(booth)
    assert "거북선" in ask(booth, "/booth/staff/switch", {"do": "block", "what": "거북선"}, inside)[1]["blocked"]
    assert events(booth, "거 북 선")[0]["why"] == "blocked"
    assert ask(booth, "/booth/staff/switch", {"do": "forget", "what": "거북선"}, inside)[1]["blocked"] == []
    assert events(booth, PROMPT)[-1]["state"] == "done"
    assert ask(booth, "/booth/staff/switch", {"do": "block", "what": "!"}, inside)[0] == 400


def test_prompts_are_kept_only_where_the_page_says_so(engine: Any, guard: Any, booth: Booth, tmp_path: Path) -> None:
    keeping = Booth(engine, guard, tmp_path / "keeping", keep_prompts=True)
    try:
        assert "저장합니다".encode() in ask(keeping, "/")[1] and "저장하지 않습니다".encode() in ask(booth, "/")[1]
        events(keeping, "파란 한복")
        assert json.loads((tmp_path / "keeping" / "booth_prompts.jsonl").read_text(encoding="utf-8"))["prompt"] == "파란 한복"
    finally:
        keeping.stop()
    assert not (booth.folder / "booth_prompts.jsonl").exists()


def test_a_thousand_quick_polls_leave_nothing_behind(booth: Booth) -> None:
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", booth.port, timeout=30)
    for _ in range(1000):
        connection.request("GET", "/booth/state")
        assert connection.getresponse().read()
    connection.close()
    assert time.monotonic() - began < 60
    assert len(booth.desk.state()) == 9


def test_it_lies_under_a_path_of_another_application(engine: Any, guard: Any, tmp_path: Path) -> None:
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from kimchi.demo.app import mount
    from kimchi.demo.settings import Settings

    app = FastAPI()
    mount(app, engine, Settings(folder=tmp_path / "mounted"), "/demo", guard)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        page = client.get("/demo/")
        assert page.status_code == 200 and "/demo/booth/static/booth.css" in page.text
        assert client.get("/demo/booth/state").json()["engine"] == "ready"
        assert client.get("/demo/booth/staff").status_code == 404, "no PIN, no staff page"
        assert client.get("/demo/gradio_api/upload").status_code == 404
