"""The server that people rate in: a real process, spoken to over HTTP. Blind, idempotent, told plainly, and nothing acknowledged is lost."""

import asyncio
import importlib.util
import io
import json
import re
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from kimchi.errors import StudyError
from kimchi.eval.study.store import open_store
from kimchi.eval.study.web import make_app
from kimchi.eval.study.web.padding import padded
from kimchi.eval.study.web.texts import texts

CONDITIONS = ("aurora", "basalt", "cobalt")
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> & {{ 7 * 7 }}"


def _bench() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "study_load.py"
    spec = importlib.util.spec_from_file_location("study_load", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_load"] = module
    spec.loader.exec_module(module)
    return module


bench = _bench()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bench.make_study(tmp_path_factory.mktemp("study"), raters=60, conditions=CONDITIONS)


@pytest.fixture(scope="module")
def server(study: Path) -> Iterator[Any]:
    running = bench.Server(study)
    running.start()
    yield running
    running.stop()


def run(work: Callable[[Any], Awaitable[Any]], server: Any) -> Any:
    """With a client of its own."""

    async def whole() -> Any:
        client = bench.Client(server.port)
        try:
            return await work(client)
        finally:
            client.close()

    return asyncio.run(whole())


def rows(study: Path, query: str, *values: Any) -> list[Any]:
    with sqlite3.connect(f"file:{study / 'study.db'}?mode=ro", uri=True) as database:
        found = database.execute(query, values).fetchall()
    database.close()
    return found


def test_a_study_that_is_not_locked_or_was_changed_is_not_served(tmp_path: Path) -> None:
    study = bench.make_study(tmp_path, raters=2, prompts=2)
    sealed = (study / "lock.json").read_text()
    (study / "lock.json").unlink()
    with pytest.raises(StudyError, match="is not locked"):
        make_app(study)
    (study / "lock.json").write_text(sealed)
    (study / "protocol.yaml").write_text((study / "protocol.yaml").read_text().replace("매우", "아주"))
    with pytest.raises(StudyError, match=r"changed since the lock: protocol\.yaml"):
        make_app(study)


def test_from_consent_to_thanks(server: Any, study: Path) -> None:
    async def walk(client: Any) -> None:
        assert (await client.get("/rate")).status == 303  # nobody yet
        plan = await bench.take_part(client, release="1")
        code_page = (await client.get("/code")).body.decode()
        assert re.search(r"(\d{4} ){4}\d{4}", code_page)
        for screen in plan["screens"]:
            assert (await client.get("/exit")).headers.count(("location", "/rate")) == 1
            for criterion in screen["criteria"]:
                assert (await client.post("/api/tap", bench.tap(plan, screen, criterion, 4))).json() == {"rev": 1, "again": False}
        assert "어느 모델" in (await client.get("/exit")).body.decode()
        assert (await client.form("/exit", how="x")).status == 400
        assert (await client.form("/exit", guess="no", how="", words=HOSTILE)).status == 303
        thanks = (await client.get("/thanks")).body.decode()
        assert client.cookies["code"][:4] in thanks
        late = await client.post("/api/tap", bench.tap(plan, plan["screens"][1], "alignment", 1, rev=2))
        assert late.status == 409 and "마치신" in late.json()["message"]

    run(walk, server)
    [(detail,)] = rows(study, "SELECT detail FROM event WHERE kind = 'exit' ORDER BY id DESC LIMIT 1")
    assert json.loads(detail) == {"guess": "no", "how": "", "words": HOSTILE}
    [(consent, release)] = rows(study, "SELECT consent_hash, release_consent FROM session ORDER BY started_at DESC LIMIT 1")
    assert re.fullmatch("[0-9a-f]{16}", consent) and release == 1


def test_nothing_a_rater_can_fetch_tells_of_conditions(server: Any, study: Path) -> None:
    async def crawl(client: Any) -> list[bytes]:
        seen = list[bytes]()

        async def fetch(path: str) -> bytes:
            answer = await client.get(path)
            names = {name for name, _ in answer.headers}
            assert not names & {"etag", "last-modified", "server"}, path
            assert ("content-security-policy", dict(answer.headers)["content-security-policy"]) in answer.headers
            assert "unsafe" not in dict(answer.headers)["content-security-policy"]
            seen.append(repr(answer.headers).encode() + answer.body)
            return answer.body

        plan = await bench.take_part(client)
        seen.append(json.dumps(plan).encode())
        for path in ("/", "/?lang=en", "/consent", "/refused", "/code", "/rate", "/exit", "/thanks", "/withdraw", "/health", "/api/plan", "/picture/none"):
            await fetch(path)
        for path in ("/study.db", "/vault/vault.db", "/static/../served.py", "/static/%2e%2e/served.py", "/pictures/", "/operator", "/nothing", "/api/none"):
            assert (await client.get(path)).status == 404, path
            await fetch(path)
        for path in ("/static/study.css", "/static/study.js", "/static/mark.svg"):
            await fetch(path)
        for screen in plan["screens"]:
            content = await fetch(screen["picture_url"])
            with Image.open(io.BytesIO(content)) as image:
                assert image.format == "PNG" and image.size == (128, 128) and not image.info
        for method, path in (("POST", "/"), ("PUT", "/api/tap"), ("DELETE", "/rate")):
            answer = await client.ask(method, path, b"{")
            assert answer.status in (400, 403, 405)
            seen.append(repr(answer.headers).encode() + answer.body)
        return seen

    everything = b"\n".join(run(crawl, server)).lower()
    secrets_ = {*CONDITIONS, "vault", "sha256", str(study), study.parent.name}
    with sqlite3.connect(study / "vault" / "vault.db") as vault:
        for stimulus, path, digest in vault.execute("SELECT stimulus, path, sha256 FROM vault"):
            secrets_ |= {stimulus, Path(path).name, digest, digest[:16]} if path else {stimulus}
    vault.close()
    secrets_ |= {row[0][:16] for row in rows(study, "SELECT sha256 FROM stimulus")}
    assert [word for word in secrets_ if word.encode().lower() in everything] == []
    # Which screens are controls is nobody's business either; as words of HTML and CSS these may stand there.
    assert [word for word in ("main", "gold", "repeat", "spare", "kind", "repeat_of", "expected", "position") if f'"{word}"'.encode() in everything] == []


def test_the_length_of_a_file_does_not_predict_its_condition(server: Any, study: Path) -> None:
    async def fetch(client: Any) -> dict[str, int]:
        lengths = dict[str, int]()
        for _ in range(6):
            client.cookies.clear()
            plan = await bench.take_part(client)
            for screen in plan["screens"]:
                name = screen["picture_url"].rsplit("/", 1)[1]
                lengths[name] = len((await client.get(screen["picture_url"])).body)
        return lengths

    lengths = run(fetch, server)
    condition = {}
    with sqlite3.connect(study / "vault" / "vault.db") as vault:
        condition = dict(vault.execute("SELECT stimulus, condition FROM vault").fetchall())
    vault.close()
    found = rows(
        study, "SELECT t.picture, t.stimulus_id, s.prompt_id, s.padded_bytes FROM trial t JOIN stimulus s ON s.id = t.stimulus_id WHERE t.kind = 'main'"
    )
    files = {name: (study / "pictures" / f"{stimulus}.png").stat().st_size for name, stimulus, _, _ in found}
    by_arm = {arm: [files[n] for n, s, _, _ in found if condition[s] == arm] for arm in CONDITIONS}
    assert sum(by_arm["aurora"]) > 1.3 * sum(by_arm["cobalt"])  # unpadded they would tell it
    # Beyond what all pictures of a prompt share, a length is drawn by lot: within each prompt, the condition's mean rank is as any.
    extra = {arm: [lengths[n] - padding for n, s, _, padding in found if n in lengths and condition[s] == arm] for arm in CONDITIONS}
    assert all(0 <= one < 4096 for arm in extra.values() for one in arm)
    from scipy.stats import chi2_contingency

    table = [[sum(low <= one < low + 1024 for one in arm) for low in range(0, 4096, 1024)] for arm in extra.values()]
    assert chi2_contingency(table).pvalue > 1e-4


def test_two_servings_of_one_picture_differ_and_look_alike() -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "PNG")
    made = [padded(file.getvalue(), 5000) for _ in range(20)]
    assert len({len(one) for one in made}) > 10 and min(map(len, made)) >= 5000
    for one in made:
        with Image.open(io.BytesIO(one)) as image:
            assert image.getpixel((3, 3)) == (255, 0, 0) and not image.info


def test_a_picture_is_one_raters_alone(server: Any) -> None:
    async def walk(client: Any) -> None:
        first = await bench.take_part(client)
        seat = dict(client.cookies)
        client.cookies.clear()
        second = await bench.take_part(client)
        names = [{screen["picture_url"] for screen in plan["screens"]} for plan in (first, second)]
        assert not names[0] & names[1]
        assert (await client.get(next(iter(names[0])))).status == 404
        client.cookies = seat
        assert (await client.get(next(iter(names[0])))).status == 200
        foreign = bench.tap({"seat": first["seat"]}, second["screens"][1], "alignment", 3)
        assert (await client.post("/api/tap", foreign)).status == 422

    run(walk, server)


def test_replayed_and_reordered_taps_end_as_they_were_made(server: Any, study: Path) -> None:
    async def walk(client: Any) -> int:
        plan = await bench.take_part(client)
        screen = plan["screens"][1]
        made = [bench.tap(plan, screen, "alignment", value, rev) for rev, value in ((1, 2), (2, 5), (3, 4))]
        for body in (made[2], made[0], made[2], made[1], made[0]):
            assert (await client.post("/api/tap", body)).status == 200
        other = {**made[0], "value": 1}
        assert (await client.post("/api/tap", other)).status == 422  # a name used for another answer
        again = (await client.get("/api/plan")).json()
        assert again["screens"][1]["answers"] == {"alignment": {"value": 4, "rev": 3}} and again["started"]
        return screen["trial"]

    trial = run(walk, server)
    assert [row[0] for row in rows(study, "SELECT count(*) FROM rating WHERE trial_id = ?", trial)] == [3]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"value": 6}, 422), ({"value": -1}, 422), ({"value": "3"}, 400), ({"value": 3.0}, 400), ({"value": None}, 400), ({"value": 2**70}, 400),
        ({"criterion": "none"}, 422), ({"criterion": "x" * 500}, 400), ({"trial": 2**40}, 422), ({"seat": "0" * 32}, 401), ({"seat": "' OR 1=1 --"}, 401),
        ({"client_uuid": "short"}, 422), ({"rev": 0}, 422), ({"rev": 10**9}, 422), ({"rt_ms": -5, "shown_ms": 1e300}, 200), ({"more": "of it"}, 200),
    ],
)  # fmt: skip
def test_a_tap_that_is_none_is_refused_in_words(server: Any, change: dict[str, Any], status: int) -> None:
    async def walk(client: Any) -> None:
        plan = await shared(client, server)
        answer = await client.post("/api/tap", {**bench.tap(plan, plan["screens"][2], "reality", 3), **change})
        assert answer.status == status, answer.body
        assert status == 200 or re.search("[가-힣]", answer.json()["message"])

    run(walk, server)


_PLANS: dict[int, tuple[dict[str, Any], dict[str, str]]] = {}


async def shared(client: Any, server: Any) -> dict[str, Any]:
    """One rater for many small checks: places are few."""
    if server.port not in _PLANS:
        plan = await bench.take_part(client)
        _PLANS[server.port] = plan, dict(client.cookies)
    plan, client.cookies = _PLANS[server.port][0], dict(_PLANS[server.port][1])
    return plan


def test_comments_are_text_and_ten_megabytes_are_refused(server: Any, study: Path) -> None:
    async def walk(client: Any) -> None:
        plan = await shared(client, server)
        body = {"seat": plan["seat"], "trial": plan["screens"][1]["trial"], "client_uuid": secrets.token_hex(16)}
        assert (await client.post("/api/comment", {**body, "text": HOSTILE})).json() == {"again": False}
        assert (await client.post("/api/comment", {**body, "text": HOSTILE})).json() == {"again": True}
        long = await client.post("/api/comment", {**body, "client_uuid": secrets.token_hex(16), "text": "가" * 2001})
        assert long.status == 413 and "2,000자" in long.json()["message"]
        try:
            huge = await client.post("/api/comment", {**body, "text": "x" * 10_000_000})
            assert huge.status == 413
        except OSError:
            pass  # hung up on before it was all sent
        assert (await client.get("/health")).status == 200

    run(walk, server)
    assert [row[0] for row in rows(study, "SELECT text FROM comment WHERE text LIKE '%onerror%'")] == [HOSTILE]


def test_writing_from_another_site_is_refused(server: Any) -> None:
    async def walk(client: Any) -> None:
        plan = await shared(client, server)
        body = json.dumps(bench.tap(plan, plan["screens"][2], "reality", 3)).encode()
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await client.ask("POST", "/api/tap", body, headers)).status == 403
            assert (await client.ask("POST", "/withdraw", b"sure=1&code=1", headers)).status == 403

    run(walk, server)


def test_codes_resume_withdraw_and_resist_guessing(server: Any, study: Path) -> None:
    async def walk(client: Any) -> None:
        plan = await bench.take_part(client)
        await client.post("/api/tap", bench.tap(plan, plan["screens"][1], "alignment", 5))
        code = client.cookies["code"]
        client.cookies.clear()
        began = time.monotonic()
        wrong = await client.form("/resume", code="1234 5678")
        spent_wrong = time.monotonic() - began
        assert wrong.status == 403 and "코드" in wrong.body.decode()
        began = time.monotonic()
        assert (await client.form("/resume", code=f" {code[:4]} {code[4:]} ")).status == 303
        spent_right = time.monotonic() - began
        assert min(spent_wrong, spent_right) >= 0.39 and abs(spent_wrong - spent_right) < 0.4
        again = (await client.get("/api/plan")).json()
        assert again["screens"][1]["answers"]["alignment"]["value"] == 5
        # Held to the code, not to who asks: ours is blocked, another is not.
        tries = [(await client.form("/resume", code="9" * 20)).status for _ in range(6)]
        assert tries == [403] * 5 + [429]
        assert (await client.form("/withdraw", code=code)).status == 400
        assert (await client.form("/withdraw", code=code, sure="1")).status == 200
        late = await client.post("/api/tap", bench.tap(again, again["screens"][2], "alignment", 1))
        assert late.status == 409 and "철회" in late.json()["message"]
        assert (await client.form("/resume", code=code)).status == 409

    run(walk, server)
    assert rows(study, "SELECT count(*) FROM rating WHERE salt IS NULL AND value IS NOT NULL") == [(0,)]


def test_a_form_sent_twice_claims_one_place(server: Any, study: Path) -> None:
    async def walk(client: Any) -> None:
        page = (await client.get("/consent")).body.decode()
        hidden = dict(re.findall(r'name="(version|once)" value="([^"]*)"', page))
        twins = [bench.Client(server.port) for _ in range(3)]
        await asyncio.gather(*(twin.form("/consent", agree="1", **hidden) for twin in twins))
        assert len({twin.cookies["seat"] for twin in twins}) == 1
        for twin in twins:
            twin.close()
        assert (await client.form("/consent", **hidden)).status == 400
        assert (await client.form("/consent", agree="1", version="0" * 16)).status == 409

    run(walk, server)


def test_two_windows_and_only_one_may_answer(server: Any) -> None:
    async def walk(client: Any) -> None:
        await bench.take_part(client)
        ask = [(await client.post("/api/tab", {"tab": tab, **more})).json()["here"] for tab, more in (
            ("a", {}), ("b", {}), ("a", {}), ("b", {"take": True}), ("a", {}), ("b", {"leave": True}), ("a", {}),
        )]  # fmt: skip
        assert ask == [True, False, True, True, False, False, True]

    run(walk, server)


def test_the_operator_sees_everyone_and_nobody_else_does(tmp_path: Path) -> None:
    study = bench.make_study(tmp_path, raters=3, prompts=2)
    code = "import sys; from pathlib import Path; from kimchi.eval.study.web import serve; serve(Path(sys.argv[1]), port=0)"
    process = subprocess.Popen([sys.executable, "-uc", code, str(study)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    rate, look = process.stdout.readline(), process.stdout.readline()
    port, token = re.findall(r":(\d+)/", rate)[0], look.split("token=")[1].strip()

    async def walk(client: Any) -> None:
        await bench.take_part(client)
        page = await client.get(f"/operator?token={token}")
        assert page.status == 200 and "0 of 3 raters" in page.body.decode()
        assert (await client.get("/operator?token=x")).status == (await client.get("/operator")).status == 404
        assert (await client.get("/health")).json() == {"well": True}

    server = bench.Server(study, int(port))
    server.process = process
    for _ in range(100):
        try:
            run(walk, server)
            break
        except OSError:
            time.sleep(0.1)
    server.stop()
    process.stdout.close()


def test_an_abandoned_place_is_passed_on(tmp_path: Path) -> None:
    study = bench.make_study(tmp_path, raters=1, prompts=2)
    with open_store(study / "study.db") as store:
        left = store.claim(now=1_800_000_000_000)
        store.consent(left.id, "0" * 16, "phone", now=1_800_000_000_000)

    async def tend() -> None:
        app = make_app(study, clock=lambda: 1_800_000_000_000 + 73 * 3_600_000)
        async with app.router.lifespan_context(app):
            await asyncio.sleep(0.3)

    asyncio.run(tend())
    with open_store(study / "study.db") as store:
        assert store.session(left.id).state == "expired"


def test_a_full_disk_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    study = bench.make_study(tmp_path, raters=3)
    # A true refusal by the system: no file of this process may grow beyond so many blocks of 1 KiB.
    size = (study / "study.db").stat().st_size // 1024 + 64
    command = f"ulimit -f {size}; exec {sys.executable} -m kimchi study serve {study} --port $0"
    server = bench.Server(study)
    server.process = subprocess.Popen(["bash", "-c", command, str(server.port)])

    async def walk(client: Any) -> tuple[set[str], int]:
        for _ in range(200):
            try:
                plan = await bench.take_part(client)
                break
            except OSError:
                await asyncio.sleep(0.1)
        acknowledged, revision = set[str](), 0
        while revision < 5000:
            revision += 1
            body = bench.tap(plan, plan["screens"][1], "alignment", 3, revision)
            answer = await client.post("/api/tap", body)
            if answer.status != 200:
                assert answer.status == 507 and "공간" in answer.json()["message"]
                assert (await client.get("/rate")).status == 200  # pages go on
                return acknowledged, revision
            acknowledged.add(body["client_uuid"])
        raise AssertionError("the disk was never full")

    acknowledged, revision = run(walk, server)
    server.kill()
    stored = {row[0] for row in rows(study, "SELECT client_uuid FROM rating")}
    assert revision > 5 and acknowledged <= stored
    with open_store(study / "study.db") as store:
        assert store.verify_chain().ok


def test_a_clock_that_jumps_changes_no_answer(server: Any, study: Path) -> None:
    """The browser's times are durations of its own; what is stored as a time is the server's."""

    async def walk(client: Any) -> str:
        plan = await shared(client, server)
        body = {**bench.tap(plan, plan["screens"][3], "alignment", 2), "rt_ms": -9e15, "shown_ms": 4e18}
        assert (await client.post("/api/tap", body)).status == 200
        return body["client_uuid"]

    name = run(walk, server)
    [(rt, shown, at)] = rows(study, "SELECT rt_ms, shown_ms, created_at FROM rating WHERE client_uuid = ?", name)
    assert (rt, shown) == (None, None) and abs(at - time.time() * 1000) < 60_000


def test_both_languages_say_the_same_things() -> None:
    korean, english = texts("ko"), texts("en")
    assert korean.keys() == english.keys()
    for key, text in korean.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", english[key])), key
    shown = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(__file__).parents[2] / "kimchi/eval/study/web").rglob("*.*")
        if path.suffix in (".html", ".js", ".py")
    )
    unused = [key for key in korean if not re.search(rf"\b{key}\b", shown) and not key.startswith(("error_", "why_", "exit_", "refused_", "withdrawn_"))]
    assert unused == []


@pytest.mark.parametrize(("raters", "seconds", "kills"), [(20, 4.0, 0), (12, 5.0, 3), pytest.param(200, 150.0, 50, marks=pytest.mark.slow)])
def test_no_tap_is_lost_or_doubled(tmp_path: Path, raters: int, seconds: float, kills: int) -> None:
    server = bench.Server(bench.make_study(tmp_path, raters=raters, prompts=6 if raters < 100 else 20))
    server.start()
    count = asyncio.run(bench.load(server, raters=raters, seconds=seconds, every=0.5 if raters < 100 else 2.0, kills=kills))
    server.stop()
    found = bench.check(server.folder, count)
    assert found["lost"] == found["doubled"] == 0 and found["chain"], found
    assert found["acknowledged"] > raters and set(count.statuses) == {200}
