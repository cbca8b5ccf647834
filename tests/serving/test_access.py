"""Who may ask, and how often: keys, limits, other sites' pages, proxies. And what may be looked at by anybody."""

import hashlib
import json
import logging
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from kimchi.errors import ServeError
from kimchi.serving.keys import Keys, add_key, read_keys, revoke_key
from kimchi.serving.pace import Pace

ASK = {"prompt": "한국의 라면을 그려줘", "steps": 1}
FORWARDED = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class TestKeyFile:
    def test_only_the_hash_is_kept(self, file: Path) -> None:
        made = add_key(file, "연구실", 30)
        assert made.startswith("kimchi-") and len(made) == 7 + 43
        assert made not in file.read_text(encoding="utf-8") and made[7:20] not in file.read_text(encoding="utf-8")
        (key,) = read_keys(file)
        assert (key.name, key.rate_per_minute, key.sha256) == ("연구실", 30, hashlib.sha256(made.encode()).hexdigest())
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_names(self, file: Path) -> None:
        add_key(file, "a")
        for name in ("a", "", "  ", "x\n", "x" * 101):
            with pytest.raises(ServeError):
                add_key(file, name)
        with pytest.raises(ServeError, match="There are: a"):
            revoke_key(file, "b")

    def test_a_damaged_file(self, file: Path) -> None:
        file.write_text('{"keys": [{"nme": 1}]}')
        with pytest.raises(ServeError, match="cannot be read as a file of keys"):
            Keys(file)

    def test_changes_are_seen_at_once(self, file: Path) -> None:
        keys = Keys(file)
        assert not keys.required
        made = add_key(file, "a")
        assert keys.required
        assert (found := keys.find(made)) and found.name == "a"
        other = add_key(file, "b")
        assert keys.find(other)
        revoke_key(file, "a")
        assert keys.find(made) is None and keys.find(other)

    def test_a_file_that_goes_or_breaks_opens_nothing(self, file: Path) -> None:
        made = add_key(file, "a")
        keys = Keys(file)
        file.write_text("{")
        assert keys.required and keys.find(made), "half edited: what held goes on holding"
        file.unlink()
        assert keys.required and keys.find(made) is None

    def test_from_the_environment(self) -> None:
        keys = Keys(None, ["kimchi-abc=def", "ci=secret-one", "secret-two"])
        assert keys.required
        assert [getattr(keys.find(key), "name", None) for key in ("kimchi-abc=def", "secret-one", "secret-two", "ci=secret-one", "")] == [
            "environment-1", "ci", "environment-3", None, None,
        ]  # fmt: skip


class TestKeysOverHttp:
    def test_none_are_asked_for_by_default(self, api: Any) -> None:
        assert api.post(ASK, Authorization="Bearer whatever-a-client-sends").status_code == 200

    def test_asked_for(self, serve: Any, file: Path) -> None:
        made = add_key(file, "a")
        server = serve(keys_file=file)
        for headers, code in (
            ({}, "missing_api_key"), ({"Authorization": "Bearer"}, "missing_api_key"), (bearer("kimchi-wrong"), "invalid_api_key"),
            (bearer(made + "x"), "invalid_api_key"), ({"Authorization": f"Basic {made}"}, "invalid_api_key"), (bearer("x" * 7000), "invalid_api_key"),
        ):  # fmt: skip
            response = server.post(ASK, **headers)
            assert (response.status_code, response.json()["error"]["code"]) == (401, code), headers
            assert response.headers["www-authenticate"] == "Bearer"
        assert server.post(ASK, **bearer(made)).status_code == 200
        assert server.get("/v1/models").status_code == 401
        assert [server.get(path).status_code for path in ("/health", "/v1/health/ready", "/v1/health/live", "/metrics", "/docs", "/openapi.json")] == [200] * 6

    def test_revoked_without_a_restart(self, serve: Any, file: Path) -> None:
        made = add_key(file, "a")
        server = serve(keys_file=file)
        assert server.get("/v1/models", **bearer(made)).status_code == 200
        revoke_key(file, "a")
        assert server.get("/v1/models", **bearer(made)).status_code == 401

    def test_a_picture_address_needs_none(self, serve: Any, file: Path) -> None:
        made = add_key(file, "a")
        server = serve(keys_file=file)
        url = server.post({**ASK, "response_format": "url"}, **bearer(made)).json()["data"][0]["url"]
        assert server.get(url.removeprefix(server.url)).status_code == 200

    def test_wrong_keys_by_the_thousand_cost_little(self, serve: Any, file: Path) -> None:
        add_key(file, "a")
        server = serve(keys_file=file)
        with server.client() as client:
            began = time.process_time()
            # A body of which nothing is read, or every one would cost its parsing.
            statuses = {client.post("/v1/images/generations", json=ASK, headers=bearer(f"kimchi-{n}")).status_code for n in range(1000)}
            spent = time.process_time() - began
        assert statuses == {401}
        assert spent < 10, "client and server together, seconds of processor time for a thousand"
        assert server.engine.stats().done == 0

    def test_behind_backendai_an_unknown_token_is_the_proxys_business(self, serve: Any, file: Path) -> None:
        made = add_key(file, "a")
        server = serve(keys_file=file, behind_backendai=True)
        for headers in (bearer("a.jwt.of.the.proxy"), {"Authorization": "BackendAI a.jwt"}, {}, bearer(made)):
            assert server.post(ASK, **headers).status_code == 200

    def test_no_key_in_a_log_or_an_answer(self, serve: Any, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        made = add_key(file, "a")
        caplog.set_level(logging.DEBUG)
        server = serve(keys_file=file)
        shown = [server.post(ASK, **bearer(made)).text, server.post(ASK, **bearer(made + "x")).text, server.get("/metrics").text]
        logged = "\n".join(record.getMessage() for record in caplog.records)
        for text in (*shown, logged):
            assert made not in text and ASK["prompt"] not in text.replace('"revised_prompt"', "")
        assert "POST /v1/images/generations 200" in logged and "POST - 401" in logged


class TestRates:
    def test_of_a_key(self, serve: Any, file: Path) -> None:
        slow, fast = add_key(file, "slow", 3), add_key(file, "fast")
        server = serve(keys_file=file)
        assert server.post({**ASK, "n": 3}, **bearer(slow)).status_code == 200
        refused = server.post(ASK, **bearer(slow))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert server.post(ASK, **bearer(fast)).status_code == 200

    def test_of_an_address(self, serve: Any) -> None:
        server = serve(rate_per_minute=2)
        assert [server.post(ASK).status_code for _ in range(3)] == [200, 200, 429]

    def test_what_is_refused_costs_nothing(self, serve: Any) -> None:
        server = serve(rate_per_minute=1)
        assert server.post({"prompt": "   "}).json()["error"]["code"] == "prompt_empty"
        assert server.post(ASK).status_code == 200

    def test_buckets(self) -> None:
        now = 0.0
        pace = Pace(lambda: now)
        assert [pace.take("a", 1, 60) for _ in range(60)] == [0.0] * 60
        assert pace.take("a", 1, 60) == pytest.approx(1.0)
        now = 1.0
        assert pace.take("a", 1, 60) == 0.0
        assert pace.take("b", 100, 60) == 0.0, "more than a minute's worth goes when the bucket is full"
        assert pace.take("b", 1, 60) == pytest.approx(41.0)
        assert pace.take("c", 10**6, 0) == 0.0, "no limit"

    def test_invented_callers_fill_no_memory(self) -> None:
        pace = Pace()
        for number in range(11_000):
            pace.take(str(number), 1, 60)
        assert len(pace._buckets) == 10_000


class TestOtherSites:
    def test_their_pages_may_not_call(self, api: Any) -> None:
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Origin": api.url}, {"Origin": "null"}):
            response = api.post(ASK, **headers)
            assert (response.status_code, response.json()["error"]["code"]) == (403, "foreign_origin"), headers
            assert "access-control-allow-origin" not in response.headers
        for headers in ({"Origin": api.url}, {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"}, {"Sec-Fetch-Site": "none"}):
            assert api.post(ASK, **headers).status_code == 200, headers

    def test_allowed_ones_may(self, serve: Any) -> None:
        server = serve(cors=("https://good.example",))
        asked = {"Origin": "https://good.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
        with server.client() as client:
            before = client.options("/v1/images/generations", headers=asked)
            assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, "https://good.example")
            assert client.options("/v1/images/generations", headers={**asked, "Origin": "https://evil.example"}).status_code == 400
        done = server.post(ASK, Origin="https://good.example")
        assert (done.status_code, done.headers["access-control-allow-origin"]) == (200, "https://good.example")
        assert "X-Kimchi-Model-Hash" in done.headers["access-control-expose-headers"]
        refused = server.post({"prompt": ""}, Origin="https://good.example")
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (400, "https://good.example")
        assert server.post(ASK, Origin="https://evil.example").status_code == 403


class TestProxies:
    def test_a_stranger_is_not_believed(self, api: Any) -> None:
        url = api.post({**ASK, "response_format": "url"}, **FORWARDED).json()["data"][0]["url"]
        assert url.startswith("http://127.0.0.1:")

    def test_a_named_one_is(self, serve: Any) -> None:
        server = serve(proxies=("127.0.0.1",), rate_per_minute=1)
        url = server.post({**ASK, "response_format": "url"}, **FORWARDED).json()["data"][0]["url"]
        assert url.startswith("https://127.0.0.1:")
        assert server.post(ASK, **FORWARDED).status_code == 429
        assert server.post(ASK, **{"X-Forwarded-For": "198.51.100.8"}).status_code == 200, "another client behind the same proxy"

    def test_a_public_address(self, serve: Any) -> None:
        server = serve(public_url="https://draw.example/kimchi/")
        url = server.post({**ASK, "response_format": "url"}).json()["data"][0]["url"]
        assert url.startswith("https://draw.example/kimchi/v1/images/files/")


def test_the_default_key_file_is_in_the_home_of_kimchi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from kimchi.cli import main

    monkeypatch.setenv("KIMCHI_HOME", str(tmp_path))
    monkeypatch.delenv("KIMCHI_KEYS_FILE", raising=False)
    assert main(["serve", "keys", "add", "연구실", "--rate", "30", "--json"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == json.loads(out[-1])["key"]
    assert os.listdir(tmp_path) == ["keys.json"]
    assert main(["serve", "keys", "list"]) == 0
    assert "연구실" in (listed := capsys.readouterr().out) and out[0] not in listed
    assert main(["serve", "keys", "revoke", "연구실"]) == 0
    assert main(["serve", "keys", "revoke", "연구실"]) == 1
