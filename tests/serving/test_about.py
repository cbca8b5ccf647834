"""Health in every state of the engine, numbers without words, the description, and its page in a browser that is offline."""

import threading
import time
from typing import Any

import jsonschema
import pytest

from kimchi import __version__
from kimchi.errors import ModelError, ServeError
from kimchi.generation.arms import Arms
from kimchi.generation.engine import Engine
from kimchi.generation.generate import Kimchi
from kimchi.generation.worker import LocalWorker
from kimchi.serving.pictures import Pictures
from kimchi.serving.settings import Settings, make_settings, public_name

from .conftest import run_server, tiny_engine, tiny_model

ASK = {"prompt": "한국의 라면을 그려줘", "steps": 1}
PROBES = ("/health", "/v1/health/ready", "/v1/health/live")


class TestHealth:
    def test_while_it_loads_and_after(self) -> None:
        go = threading.Event()

        def slow() -> Arms:
            go.wait(30)
            return Arms(Kimchi(tiny_model(), "cpu"))

        server = run_server(Engine(LocalWorker(slow)), wait=False)
        try:
            answers = [server.get(path) for path in PROBES]
            assert [one.status_code for one in answers] == [503, 503, 200]
            assert answers[0].json()["status"] == "starting" and answers[0].json()["error"]["code"] == "not_ready"
            assert answers[0].headers["retry-after"] == "5" and "x-kimchi-model-hash" not in answers[0].headers
            for path in ("/v1/images/generations", "/v1/images/compare"):
                refused = server.post(ASK, path)
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
            assert server.get("/v1/models").json()["data"][0]["kimchi"] == {}
            go.set()
            server.wait()
            assert [server.get(path).status_code for path in PROBES] == [200, 200, 200]
            assert server.get("/health").headers["x-kimchi-model-hash"] == server.engine.identity["model_hash"]
        finally:
            go.set()
            server.stop()

    def test_a_model_that_cannot_be_loaded_ends_the_server(self) -> None:
        def broken() -> Arms:
            raise ModelError("/secret: no such model")

        server = run_server(Engine(LocalWorker(broken)), wait=False)
        assert server.thread is not None
        server.thread.join(20)
        assert not server.thread.is_alive()
        assert isinstance(server.server.broken, ModelError)

    def test_while_it_drains(self) -> None:
        server = run_server(tiny_engine(), drain_s=20.0)
        answers: list[Any] = []
        drawing = threading.Thread(target=lambda: answers.append(server.post({**ASK, "steps": 30})))
        drawing.start()
        while not server.engine.stats().drawing:
            time.sleep(0.01)
        server.server.stop()
        server.wait("draining", 5)
        assert [server.get(path).status_code for path in PROBES] == [503, 503, 200]
        refused = server.post(ASK)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        drawing.join(30)
        assert answers[0].status_code == 200 and answers[0].headers["x-kimchi-model-hash"]
        assert server.thread is not None
        server.thread.join(20)
        assert not server.thread.is_alive()

    def test_while_it_draws(self, api: Any) -> None:
        drawing = threading.Thread(target=lambda: api.post({**ASK, "steps": 30}))
        drawing.start()
        while not api.engine.stats().drawing:
            time.sleep(0.01)
        assert [api.get(path).status_code for path in PROBES] == [200, 200, 200]
        drawing.join()

    def test_head(self, api: Any) -> None:
        with api.client() as client:
            assert client.head("/health").status_code in (200, 405)


class TestMetrics:
    def test_counts(self, serve: Any) -> None:
        server = serve(tiny_engine(queue=1))
        server.post({**ASK, "n": 2})
        server.post({"prompt": ""})
        server.get("/nothing/" + "x" * 50)
        text = server.get("/metrics").text
        for line in (
            'kimchi_requests_total{method="POST",route="/v1/images/generations",status="200"} 1.0',
            'kimchi_requests_total{method="POST",route="/v1/images/generations",status="400"} 1.0',
            'kimchi_requests_total{method="GET",route="-",status="404"} 1.0',
            'kimchi_pictures_delivered_total{arm="kimchi"} 2.0',
            'kimchi_refusals_total{code="invalid_value"} 1.0',
            'kimchi_engine_state{state="ready"} 1.0',
            'kimchi_jobs_total{end="done"} 1.0',
            "kimchi_queue_waiting 0.0",
            f'kimchi_model_info{{miniature="true",model_hash="{server.engine.identity["model_hash"]}",version="{__version__}"}} 1.0',
        ):
            assert line in text, text
        assert "라면" not in text and "secret" not in text and "xxx" not in text
        assert "process_resident_memory_bytes" in text

    def test_prometheus_reads_it(self, api: Any) -> None:
        from prometheus_client.parser import text_string_to_metric_families

        response = api.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain; version=")
        assert {"kimchi_requests", "kimchi_request_seconds", "kimchi_model_info"} <= {one.name for one in text_string_to_metric_families(response.text)}


class TestDescription:
    def test_openapi(self, serve: Any) -> None:
        server = serve(max_n=4, max_steps=50, prompt_chars=300)
        told = server.get("/openapi.json").json()
        assert set(told["paths"]) == {
            "/v1/images/generations", "/v1/images/compare", "/v1/images/files/{name}.png", "/v1/models", "/v1/models/{model}", "/health", "/v1/health/ready",
            "/v1/health/live", "/metrics",
        }  # fmt: skip
        fields = told["components"]["schemas"]["GenerationRequest"]["properties"]
        assert (fields["n"]["anyOf"][0]["maximum"], fields["steps"]["anyOf"][0]["maximum"], fields["prompt"]["maxLength"]) == (4, 50, 300)
        assert server.post({**ASK, "n": 5}).status_code == 400
        for path in told["paths"].values():
            for operation in path.values():
                assert "422" not in operation["responses"] and operation["summary"]
        assert "HTTPValidationError" not in str(told)

    def test_answers_are_as_described(self, api: Any) -> None:
        told = api.get("/openapi.json").json()
        for body, path in ((ASK, "/v1/images/generations"), ({**ASK, "arms": ["kimchi"]}, "/v1/images/compare"), ({}, "/v1/images/compare")):
            response = api.post(body, path)
            answer = told["paths"][path]["post"]["responses"][str(response.status_code)]["content"]["application/json"]["schema"]
            jsonschema.validate(response.json(), {**answer, "components": told["components"]})

    def test_every_answer_bears_the_same_headers(self, api: Any) -> None:
        for response in (api.post(ASK), api.get("/health"), api.get("/nothing"), api.post({}), api.get("/docs")):
            assert len(response.headers["x-request-id"]) == 16
            assert response.headers["x-kimchi-model-hash"] == api.engine.identity["model_hash"]
            assert response.headers["x-content-type-options"] == "nosniff"
            assert "server" not in response.headers and "uvicorn" not in str(response.headers)


class TestPage:
    @pytest.mark.parametrize("language", ["ko", "en"])
    def test_in_a_browser_that_is_offline(self, api: Any, browser: Any, language: str) -> None:
        page = browser.new_page(locale="ko-KR" if language == "ko" else "en-US")
        asked: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{api.url}/docs")
        page.wait_for_selector("section >> nth=8")
        assert page.locator("html").get_attribute("lang") == language
        assert page.locator("#version").inner_text() == __version__
        assert page.locator("h1, h2, h3").count() >= 12
        assert "num_inference_steps" in page.inner_text("main") and "/v1/images/compare" in page.inner_text("main")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out on a phone"
        page.close()
        assert all(url.startswith((api.url, "data:")) for url in asked), asked
        assert wrong == []

    def test_its_examples_run(self, api: Any, browser: Any) -> None:
        import subprocess
        import sys

        page = browser.new_page()
        page.goto(f"{api.url}/docs?lang=ko")
        page.wait_for_function("document.getElementById('first').textContent")
        curl, python = page.locator("#first").text_content(), page.locator("#python").text_content()
        page.close()
        assert '"url":' in subprocess.run(["bash", "-c", f"{curl} -s --noproxy '*'"], capture_output=True, text=True, check=True).stdout
        done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.startswith("iVBOR"), done.stderr


class TestPictures:
    def test_the_oldest_go_first(self) -> None:
        now = 0.0
        kept = Pictures(100, 10.0, lambda: now)
        first, second = kept.add(b"x" * 60), kept.add(b"y" * 60)
        assert kept.get(first) is None and kept.get(second) == b"y" * 60 and kept.size == 60
        now = 11.0
        assert kept.get(second) is None and kept.size == 0

    def test_none_are_kept(self, serve: Any) -> None:
        server = serve(url_bytes=0)
        assert server.post({**ASK, "response_format": "url"}).json()["error"]["param"] == "response_format"


class TestSettings:
    def test_from_the_environment(self) -> None:
        told = {
            "KIMCHI_PORT": "9000", "KIMCHI_CORS": "https://a.example, https://b.example", "KIMCHI_BEHIND_BACKENDAI": "1", "KIMCHI_TIMEOUT_S": "7.5",
            "KIMCHI_API_KEYS": "a=b", "KIMCHI_KEYS_FILE": "/x/keys.json", "BACKEND_MODEL_NAME": "culture-ko", "KIMCHI_MODEL_ID": "other",
        }  # fmt: skip
        made = make_settings(told, port=8001, host=None)
        assert (made.port, made.host, made.cors, made.behind_backendai) == (8001, "127.0.0.1", ("https://a.example", "https://b.example"), True)
        assert (made.timeout_s, made.api_keys, str(made.keys_file), made.model_id) == (7.5, ("a=b",), "/x/keys.json", "culture-ko")

    @pytest.mark.parametrize("told", [{"KIMCHI_PORT": "http"}, {"KIMCHI_PORT": "70000"}, {"KIMCHI_COMPARE": "perhaps"}, {"BACKEND_MODEL_NAME": "../x y"}])
    def test_refused(self, told: dict[str, str]) -> None:
        with pytest.raises(ServeError):
            make_settings(told)

    def test_a_key_in_the_wrong_place_is_not_repeated(self) -> None:
        with pytest.raises(ServeError) as caught:
            make_settings({"KIMCHI_PORT": "kimchi-secret"})
        assert "secret" not in str(caught.value)

    def test_an_origin_that_is_none(self) -> None:
        with pytest.raises(ServeError, match="not an origin"):
            Settings(cors=("example.org/path",))

    @pytest.mark.parametrize(
        ("model", "name"), [("mini", "mini"), ("runs/food", "food"), ("/a/b/c/", "c"), ("x.safetensors", "x"), ("o/n", "n"), ("한식 모델", "한식-모델"),
         ("/", "kimchi")],
    )  # fmt: skip
    def test_names(self, model: str, name: str) -> None:
        assert public_name(model) == name
