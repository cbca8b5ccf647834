"""What OpenAI's own client and curl get: pictures, streams, lists, and errors they understand."""

import asyncio
import base64
import io
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

from kimchi.generation.provenance import SOURCE_TYPE

PROMPT = "한국의 라면을 그려줘"


@pytest.fixture(scope="module")
def client(api: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{api.url}/v1", api_key="-", max_retries=0) as made:
        yield made


def opened(b64: str | None) -> Image.Image:
    assert b64
    image = Image.open(io.BytesIO(base64.b64decode(b64)))
    image.load()
    return image


class TestOpenAI:
    def test_a_picture(self, client: openai.OpenAI, api: Any) -> None:
        answer = client.images.generate(prompt=PROMPT, model="tiny", size="128x128", extra_body={"seed": 7, "num_inference_steps": 2, "guidance_scale": 3})
        assert answer.data
        image = opened(answer.data[0].b64_json)
        assert image.size == (128, 128)
        assert answer.data[0].revised_prompt == "한국의 라면"
        made = answer.model_extra["kimchi"]  # type: ignore[index]
        assert (made["seed"], made["steps"], made["guidance"], made["size_px"]) == (7, 2, 3, 128)
        assert made["model_hash"] == api.engine.identity["model_hash"]
        assert abs(answer.created - time.time()) < 60

    def test_the_picture_says_how_it_was_made_and_names_no_folder(self, client: openai.OpenAI) -> None:
        answer = client.images.generate(prompt=PROMPT, extra_body={"seed": 7, "steps": 2})
        assert answer.data
        image = opened(answer.data[0].b64_json)
        record = json.loads(image.info["kimchi"])
        assert (record["seed"], record["model"], record["made_by"]["model"]) == (7, "tiny", "tiny")
        assert image.info["DigitalSourceType"] == SOURCE_TYPE
        assert "/secret" not in str(image.info)

    def test_n_pictures_take_seeds_in_a_row_and_match_single_ones(self, client: openai.OpenAI) -> None:
        three = client.images.generate(prompt=PROMPT, n=3, extra_body={"seed": 40, "steps": 2})
        assert three.data and len(three.data) == 3
        assert [one.model_extra["seed"] for one in three.data] == [40, 41, 42]  # type: ignore[index]
        again = client.images.generate(prompt=PROMPT, n=3, extra_body={"seed": 40, "steps": 2})
        assert again.data and [one.b64_json for one in again.data] == [one.b64_json for one in three.data]

    def test_the_seed_that_is_told_draws_the_same(self, client: openai.OpenAI) -> None:
        first = client.images.generate(prompt=PROMPT, extra_body={"steps": 2})
        seed = first.model_extra["kimchi"]["seed"]  # type: ignore[index]
        again = client.images.generate(prompt=PROMPT, extra_body={"steps": 2, "seed": seed})
        assert first.data and again.data and first.data[0].b64_json == again.data[0].b64_json

    def test_an_address(self, client: openai.OpenAI, api: Any) -> None:
        answer = client.images.generate(prompt=PROMPT, response_format="url", extra_body={"seed": 7, "steps": 2})
        assert answer.data and answer.data[0].url and answer.data[0].b64_json is None
        assert answer.data[0].url.startswith(api.url)
        got = api.get(answer.data[0].url.removeprefix(api.url))
        assert (got.status_code, got.headers["content-type"]) == (200, "image/png")
        plain = client.images.generate(prompt=PROMPT, extra_body={"seed": 7, "steps": 2})
        assert plain.data and base64.b64decode(plain.data[0].b64_json or "") == got.content

    def test_a_stream(self, client: openai.OpenAI) -> None:
        events = list(client.images.generate(prompt=PROMPT, stream=True, partial_images=3, extra_body={"seed": 7, "steps": 8}))
        assert [event.type for event in events] == ["image_generation.partial_image"] * 3 + ["image_generation.completed"]
        assert [event.partial_image_index for event in events[:-1]] == [0, 1, 2]  # type: ignore[union-attr]
        assert opened(events[0].b64_json).size[0] <= 64
        plain = client.images.generate(prompt=PROMPT, extra_body={"seed": 7, "steps": 8})
        assert plain.data and events[-1].b64_json == plain.data[0].b64_json
        assert events[-1].usage.total_tokens == 0  # type: ignore[union-attr]

    def test_a_stream_without_partial_pictures(self, client: openai.OpenAI) -> None:
        events = list(client.images.generate(prompt=PROMPT, stream=True, extra_body={"steps": 4}))
        assert [event.type for event in events] == ["image_generation.completed"]

    def test_async(self, api: Any) -> None:
        async def both() -> list[Any]:
            async with openai.AsyncOpenAI(base_url=f"{api.url}/v1", api_key="-", max_retries=0) as client:
                return await asyncio.gather(*(client.images.generate(prompt=PROMPT, extra_body={"seed": seed, "steps": 2}) for seed in (1, 2)))

        one, two = asyncio.run(both())
        assert one.data[0].b64_json != two.data[0].b64_json

    def test_models(self, client: openai.OpenAI) -> None:
        (model,) = client.models.list().data
        assert (model.id, model.object, model.owned_by) == ("tiny", "model", "kimchi")
        assert client.models.retrieve("tiny").model_extra["kimchi"]["miniature"] is True  # type: ignore[index]
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-image-2")

    def test_fields_of_openai_that_mean_nothing_here(self, client: openai.OpenAI) -> None:
        client.images.generate(prompt=PROMPT, user="someone", quality="high", moderation="low", background="auto", output_format="png", extra_body={"steps": 1})
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.generate(prompt=PROMPT, output_format="webp")
        assert caught.value.param == "output_format"


class TestErrorsOfOpenAI:
    def test_a_field_out_of_range(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.generate(prompt=PROMPT, n=11)
        assert (caught.value.code, caught.value.param, caught.value.type) == ("invalid_value", "n", "invalid_request_error")

    def test_a_model_that_is_not_here(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as caught:
            client.images.generate(prompt=PROMPT, model="dall-e-3")
        assert caught.value.code == "model_not_found"

    def test_an_error_in_a_stream(self, serve: Any) -> None:
        server = serve()
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0) as other:
            events = other.images.generate(prompt=PROMPT, stream=True, partial_images=2, size="128x128", extra_body={"steps": 100})
            assert next(iter(events)).type == "image_generation.partial_image"
            server.engine.close()
            with pytest.raises(openai.APIError) as caught:
                list(events)
        assert caught.value.code == "draining"


class TestCurl:
    def test_the_command_that_is_printed(self, api: Any, tmp_path: Path) -> None:
        out = tmp_path / "answer.json"
        command = ["curl", "-sS", "--noproxy", "*", "-o", str(out), "-w", "%{http_code} %{content_type}", f"{api.url}/v1/images/generations"]
        command += ["-H", "Content-Type: application/json", "-d", json.dumps({"prompt": PROMPT, "steps": 2, "seed": 7}, ensure_ascii=False)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "200 application/json"
        answer = json.loads(out.read_text(encoding="utf-8"))
        assert opened(answer["data"][0]["b64_json"]).size == (64, 64)

    def test_a_large_body_is_refused_before_it_is_sent(self, api: Any, tmp_path: Path) -> None:
        large = tmp_path / "large.json"
        large.write_bytes(b'{"prompt": "' + b"x" * 10_000_000 + b'"}')
        command = ["curl", "-sS", "--noproxy", "*", "-w", "\n%{http_code} %{size_upload}", f"{api.url}/v1/images/generations"]
        done = subprocess.run([*command, "-H", "Content-Type: application/json", "-d", f"@{large}"], capture_output=True, text=True)
        body, _, told = done.stdout.rpartition("\n")
        status, uploaded = told.split()
        assert (status, json.loads(body)["error"]["code"]) == ("413", "body_too_large")
        assert int(uploaded) < 1_000_000


class TestCompare:
    def test_nothing_to_compare_with(self, api: Any) -> None:
        refused = api.post({"prompt": PROMPT}, "/v1/images/compare")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "arm_unavailable")
        alone = api.post({"prompt": PROMPT, "steps": 2, "arms": ["kimchi"]}, "/v1/images/compare")
        assert [one["arm"] for one in alone.json()["data"]] == ["kimchi"]

    def test_arms_twice(self, api: Any) -> None:
        assert api.post({"prompt": PROMPT, "arms": ["kimchi", "kimchi"]}, "/v1/images/compare").json()["error"]["param"] == "arms"
