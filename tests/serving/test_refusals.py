"""Bad input: refused in the documented shape, in two languages, without a word of what lies behind; and the next client notices nothing."""

import json
import re
import string
from typing import Any

import pytest

from kimchi.errors import BlockedError, BusyError, CancelledError, ClosedError, LateError, ModelError, PromptError, RequestError
from kimchi.serving.refusals import STATUS, Refusal, refuse
from kimchi.serving.texts import choose, fill, texts

PROMPT = "한국의 라면을 그려줘"
LEAKS = re.compile(r"/secret|/work|/usr|/tmp|Traceback|File \"|\.py\b|site-packages|pydantic|kimchi-[A-Za-z0-9_-]{20}|0x[0-9a-f]{6}")
BODIES: list[tuple[Any, str, str | None]] = [
    ({}, "missing_required_parameter", "prompt"),
    ({"prompt": ""}, "invalid_value", "prompt"),
    ({"prompt": "   "}, "prompt_empty", "prompt"),
    ({"prompt": "그려줘"}, "prompt_empty", "prompt"),
    ({"prompt": 7}, "invalid_value", "prompt"),
    ({"prompt": None}, "invalid_value", "prompt"),
    ({"prompt": ["라면"]}, "invalid_value", "prompt"),
    ({"prompt": "라" * 2001}, "prompt_too_long", "prompt"),
    ({"prompt": "라면\u0000"}, "control_characters", "prompt"),
    ({"prompt": "\u001b[31m라면"}, "control_characters", "prompt"),
    ({"prompt": PROMPT, "negative_prompt": "\u0007"}, "control_characters", "negative_prompt"),
    ({"prompt": PROMPT, "n": 0}, "invalid_value", "n"),
    ({"prompt": PROMPT, "n": -1}, "invalid_value", "n"),
    ({"prompt": PROMPT, "n": 11}, "invalid_value", "n"),
    ({"prompt": PROMPT, "n": 1.5}, "invalid_value", "n"),
    ({"prompt": PROMPT, "n": "2"}, "invalid_value", "n"),
    ({"prompt": PROMPT, "n": True}, "invalid_value", "n"),
    ({"prompt": PROMPT, "n": 10**30}, "invalid_value", "n"),
    ({"prompt": PROMPT, "n": 2, "stream": True}, "invalid_value", "n"),
    ({"prompt": PROMPT, "size": "1x1"}, "invalid_value", "size"),
    ({"prompt": PROMPT, "size": "128x64"}, "invalid_value", "size"),
    ({"prompt": PROMPT, "size": "129x129"}, "invalid_value", "size"),
    ({"prompt": PROMPT, "size": "2048x2048"}, "invalid_value", "size"),
    ({"prompt": PROMPT, "size": "999999999x999999999"}, "invalid_value", "size"),
    ({"prompt": PROMPT, "size": "-64x-64"}, "invalid_value", "size"),
    ({"prompt": PROMPT, "size": "١٢٨x١٢٨"}, "invalid_value", "size"),
    ({"prompt": PROMPT, "seed": -1}, "invalid_value", "seed"),
    ({"prompt": PROMPT, "seed": 2**32}, "invalid_value", "seed"),
    ({"prompt": PROMPT, "seed": 2**32 - 1, "n": 2}, "invalid_value", "seed"),
    ({"prompt": PROMPT, "steps": 0}, "invalid_value", "steps"),
    ({"prompt": PROMPT, "steps": 101}, "invalid_value", "steps"),
    ({"prompt": PROMPT, "steps": 4, "num_inference_steps": 5}, "invalid_value", "steps"),
    ({"prompt": PROMPT, "num_inference_steps": 5000}, "invalid_value", "steps"),
    ({"prompt": PROMPT, "guidance": 31}, "invalid_value", "guidance"),
    ({"prompt": PROMPT, "guidance_scale": -0.1}, "invalid_value", "guidance"),
    ({"prompt": PROMPT, "response_format": "jpeg"}, "invalid_value", "response_format"),
    ({"prompt": PROMPT, "response_format": "url", "stream": True}, "invalid_value", "response_format"),
    ({"prompt": PROMPT, "stream": "yes"}, "invalid_value", "stream"),
    ({"prompt": PROMPT, "partial_images": 2}, "invalid_value", "partial_images"),
    ({"prompt": PROMPT, "stream": True, "partial_images": 11}, "invalid_value", "partial_images"),
    ({"prompt": PROMPT, "background": "transparent"}, "invalid_value", "background"),
    ({"prompt": PROMPT, "model": "../../etc/passwd"}, "model_not_found", "model"),
    ({"prompt": PROMPT, "model": "/secret/place/tiny"}, "model_not_found", "model"),
    ({"prompt": PROMPT, "model": "http://169.254.169.254/"}, "model_not_found", "model"),
    ({"prompt": PROMPT, "temperature": 1}, "unknown_parameter", "temperature"),
    ({"prompt": PROMPT, "<script>alert(1)</script>": 1}, "unknown_parameter", "scriptalert1script"),
    ({"prompt": PROMPT, "x" * 5000: 1}, "unknown_parameter", "x" * 64),
    ([], "invalid_json", None),
    ("라면", "invalid_json", None),
    (None, "invalid_json", None),
]
RAW: list[tuple[bytes, str]] = [
    (b"", "invalid_json"),
    (b"{", "invalid_json"),
    (b'{"prompt": "a"', "invalid_json"),
    (b"\xff\xfe\x00", "invalid_json"),
    (b'{"prompt": "\xff"}', "invalid_json"),
    (b"[" * 30_000, "invalid_json"),
    (b'{"prompt": "a", "n": ' + b"9" * 5000 + b"}", "invalid_json"),
    (b'{"prompt": "\\ud800 a"}', "invalid_value"),
    (b'{"prompt": "a red house", "guidance": NaN}', "invalid_value"),
    (b'{"prompt": "a red house", "guidance": Infinity}', "invalid_value"),
    (b'{"prompt": "a red house", "guidance": 1e999}', "invalid_value"),
    (b'{"user": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b', "prompt": "a red house"}', "invalid_json"),
]


def told(response: Any) -> dict[str, Any]:
    """The error of an answer, whose shape is always the same."""
    body = response.json()
    assert set(body) == {"error"}, body
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert isinstance(body["error"]["message"], str) and len(body["error"]["message"]) > 10
    assert not LEAKS.search(response.text), response.text
    assert "{" not in body["error"]["message"], "a brace that nothing filled"
    return body["error"]


class TestBodies:
    @pytest.mark.parametrize(("body", "code", "param"), BODIES, ids=[f"{n}-{code}-{param}"[:40] for n, (_, code, param) in enumerate(BODIES)])
    def test_is_refused(self, api: Any, body: Any, code: str, param: str | None) -> None:
        response = api.post(body)
        error = told(response)
        assert (error["code"], error["param"]) == (code, param)
        assert (response.status_code, error["type"]) == STATUS[code]

    @pytest.mark.parametrize(("content", "code"), RAW, ids=range(len(RAW)))
    def test_what_is_no_json(self, api: Any, content: bytes, code: str) -> None:
        with api.client() as client:
            response = client.post("/v1/images/generations", content=content, headers={"Content-Type": "application/json"})
        assert (response.status_code, told(response)["code"]) == (400, code)

    def test_another_kind_of_body(self, api: Any) -> None:
        with api.client() as client:
            for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml", ""):
                response = client.post("/v1/images/generations", content=json.dumps({"prompt": PROMPT}), headers={"Content-Type": kind})
                assert (response.status_code, told(response)["code"]) == (400, "invalid_json")

    def test_the_next_client_notices_nothing(self, api: Any) -> None:
        assert api.post({"prompt": PROMPT, "steps": 1}).status_code == 200
        assert api.get("/health").json() == {"status": "ready"}


class TestAddresses:
    def test_nothing_there(self, api: Any) -> None:
        for path in ("/v1/nothing", "/%2e%2e/%2e%2e/etc/passwd", "/v1/images/files/../../x", "/v1/images/files/xyz.png", "/docs/../app.py", "/docs/docs.py"):
            response = api.get(path)
            assert (response.status_code, told(response)["code"]) == (404, "not_found"), path

    def test_a_picture_that_is_gone(self, api: Any) -> None:
        response = api.get(f"/v1/images/files/{'0' * 32}.png")
        assert (response.status_code, told(response)["code"]) == (404, "picture_gone")

    def test_a_method_that_is_not_taken(self, api: Any) -> None:
        response = api.get("/v1/images/generations")
        assert (response.status_code, told(response)["code"]) == (405, "method_not_allowed")
        assert response.headers["allow"] == "POST"
        with api.client() as client:
            assert client.delete("/v1/models").status_code == 405
            assert client.request("BREW", "/health").status_code in (400, 405)

    def test_a_model_named_with_tricks(self, api: Any) -> None:
        for name in ("..%2F..%2Fetc%2Fpasswd", "%00", "a" * 4000, "%F0%9F%8D%9C"):
            assert told(api.get(f"/v1/models/{name}"))["code"] in ("model_not_found", "not_found")


class TestLanguages:
    def test_korean_and_english(self, api: Any) -> None:
        korean = told(api.post({"prompt": PROMPT, "n": 0}, **{"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}))
        english = told(api.post({"prompt": PROMPT, "n": 0}, **{"Accept-Language": "en-US,en;q=0.9,ko;q=0.1"}))
        assert korean["message"] == "'n' 값을 쓸 수 없습니다. 1부터 10까지의 정수여야 합니다. 스트리밍할 때는 1만 됩니다."
        assert english["message"].startswith("'n' cannot be used as it is. It must be a whole number from 1 to 10")
        assert {**korean, "message": ""} == {**english, "message": ""}

    @pytest.mark.parametrize(
        ("header", "language"),
        [("", "en"), ("ko", "ko"), ("fr", "en"), ("fr, ko;q=0.1", "ko"), ("ko;q=0.4, en;q=0.5", "en"), ("ko;q=x", "en"), (",,;;q", "en")],
    )
    def test_which(self, header: str, language: str) -> None:
        assert choose(header) == language

    def test_both_say_the_same_things(self) -> None:
        korean, english = texts("ko"), texts("en")
        assert list(korean) == list(english)
        assert set(STATUS) <= set(english)
        for key in english:
            slots = [{name for _, name, _, _ in string.Formatter().parse(text[key]) if name} for text in (korean, english)]
            assert slots[0] <= slots[1] | {"limit"}, key
            assert re.search("[가-힣]", korean[key]) and not re.search("[가-힣]{2}", english[key].replace("한국의 라면을 그려줘", "")), key

    def test_what_a_value_holds_in_braces_stays(self) -> None:
        assert fill("{a} and {b}", {"a": "{b}", "b": 1}) == "{b} and 1"
        assert fill("{unknown} {", {}) == "{unknown} {"


class TestOfTheEngine:
    @pytest.mark.parametrize(
        ("error", "code", "param"),
        [
            (BlockedError("/secret"), "content_policy_violation", "prompt"),
            (PromptError("/secret"), "prompt_empty", "prompt"),
            (RequestError("size_px 65: /secret draws ..."), "invalid_value", "size"),
            (RequestError("steps 2000: must be"), "invalid_value", "steps"),
            (RequestError("negative 'x': must be"), "invalid_value", "negative_prompt"),
            (RequestError("/secret/place: nothing says"), "invalid_value", "prompt"),
            (BusyError("/secret", 3.2), "queue_full", None),
            (LateError("/secret"), "timeout", None),
            (ClosedError("/secret"), "draining", None),
            (CancelledError("/secret"), "draining", None),
            (ModelError("/secret/unet: the VAE gave NaN"), "engine_failed", None),
        ],
    )
    def test_in_our_words_only(self, error: Any, code: str, param: str | None) -> None:
        refusal = refuse(error, state="stopped", timeout_s=120)
        body = refusal.body("ko", {"prompt_chars": 1, "max_n": 1, "max_steps": 1, "max_size_px": 1, "example": "64x64", "request": "-"})
        assert (refusal.code, refusal.param) == (code, param)
        assert "/secret" not in json.dumps(body) and "{" not in body["error"]["message"]

    def test_when_to_come_back(self) -> None:
        assert refuse(BusyError("", 3.2), state="ready", timeout_s=1).headers["Retry-After"] == "4"
        assert refuse(BusyError("", 0.0), state="ready", timeout_s=1).headers["Retry-After"] == "1"
        assert Refusal("not_ready").headers["Retry-After"] == "5"

    def test_a_bug_tells_a_number_and_nothing_else(self, serve: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        server = serve()

        def broken(request: Any) -> Any:
            raise RuntimeError(f"/secret/place {request.prompts}")

        monkeypatch.setattr(server.engine, "submit", broken)
        response = server.post({"prompt": PROMPT}, **{"Accept-Language": "ko"})
        error = told(response)
        assert (response.status_code, error["code"]) == (500, "server_error")
        assert response.headers["x-request-id"] in error["message"]
        (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert line == f"{response.headers['x-request-id']} RuntimeError in {__name__}:{broken.__code__.co_firstlineno + 1}"
        monkeypatch.undo()
        assert server.post({"prompt": PROMPT, "steps": 1}).status_code == 200
