"""Kimchi.generate, .save and .redraw on a tiny random model."""

import json
import logging
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kimchi.errors import DataError, ModelError, OutputError, PromptError, RequestError
from kimchi.generation import provenance
from kimchi.generation.generate import GeneratedImage, Kimchi
from kimchi.generation.settings import MAX_SEED

QUICK: dict[str, Any] = {"steps": 2, "seed": 7}


@pytest.fixture(scope="module")
def drawn(request: pytest.FixtureRequest) -> GeneratedImage:
    from kimchi.generation.generate import Kimchi as Drawer

    return Drawer(request.getfixturevalue("tiny"), "cpu").generate("한국의 라면을 그려줘", **QUICK)


def test_same_seed_same_bytes(kimchi: Kimchi, drawn: GeneratedImage, tmp_path: Path) -> None:
    again = kimchi.generate("한국의 라면을 그려줘", **QUICK)
    assert again.save(tmp_path / "a.png").read_bytes() == drawn.save(tmp_path / "b.png").read_bytes()
    assert kimchi.generate("한국의 라면을 그려줘", steps=2, seed=8).image.tobytes() != drawn.image.tobytes()


@pytest.mark.parametrize(
    "prompt", [unicodedata.normalize("NFD", "한국의 라면을 그려줘"), "한국의 라면", "한국의 라면 사진 보여줘 🍜", " 제발 한국의\u200b 라면 그려 주세요!"]
)
def test_the_same_wish_is_the_same_picture(kimchi: Kimchi, drawn: GeneratedImage, prompt: str) -> None:
    assert kimchi.generate(prompt, **QUICK).image.tobytes() == drawn.image.tobytes()


def test_the_record_says_how_it_was_made(drawn: GeneratedImage) -> None:
    record = drawn.provenance
    assert set(record) == set(provenance.KINDS)
    assert (record["prompt_typed"], record["prompt"], record["cut"]) == ("한국의 라면을 그려줘", "한국의 라면", "")
    assert (record["seed"], record["steps"], record["guidance"], record["size_px"], record["scheduler"]) == (7, 2, 5.0, 64, "DDIM")
    assert record["miniature"] is True and record["hashes"]["unet"] == "aaaa" and record["made_by"]["model"] == "tiny"


def test_png_and_sidecar_hold_the_same_record(drawn: GeneratedImage, tmp_path: Path) -> None:
    png = drawn.save(tmp_path / "new" / "folder" / "ramyeon")
    assert sorted(p.name for p in png.parent.iterdir()) == ["ramyeon.json", "ramyeon.png"]
    assert provenance.read_provenance(png) == provenance.read_provenance(png.with_suffix(".json")) == drawn.provenance
    with Image.open(png) as image:
        assert image.size == (64, 64) and image.tobytes() == drawn.image.tobytes()
        assert image.info["DigitalSourceType"].endswith("/trainedAlgorithmicMedia") and "DigitalSourceType" in image.info["XML:com.adobe.xmp"]


@pytest.mark.parametrize("suffix", [".png", ".json"])
def test_a_picture_is_made_again_from_its_record(kimchi: Kimchi, tmp_path: Path, suffix: str) -> None:
    pictures = kimchi.generate(["라면", "한복을 그려줘", "갓"], negative="흐림", batch=2, **QUICK)
    for i, picture in enumerate(pictures):
        png = picture.save(tmp_path / f"{i}.png")
        again = kimchi.redraw(png.with_suffix(suffix)).save(tmp_path / f"{i}-again.png")
        assert again.read_bytes() == png.read_bytes()


def test_other_weights_do_not_redraw(kimchi: Kimchi, drawn: GeneratedImage, tmp_path: Path) -> None:
    png = drawn.save(tmp_path / "a.png")
    record = json.loads(png.with_suffix(".json").read_text(encoding="utf-8"))
    record["hashes"]["adapter"] = "feed"
    png.with_suffix(".json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ModelError, match=r"adapter feed.*adapter none"):
        kimchi.redraw(png.with_suffix(".json"))


def test_a_list_is_a_list_with_following_seeds(kimchi: Kimchi) -> None:
    pictures = kimchi.generate(["라면", "라면"], **QUICK)
    assert [p.provenance["seed"] for p in pictures] == [7, 8] and pictures[0].image.tobytes() != pictures[1].image.tobytes()
    assert kimchi.generate([]) == []


def test_without_a_seed_one_is_picked_and_recorded(kimchi: Kimchi) -> None:
    picture = kimchi.generate("라면", steps=1)
    assert kimchi.generate("라면", steps=1, seed=picture.provenance["seed"]).image.tobytes() == picture.image.tobytes()


def test_settings_reach_the_picture(kimchi: Kimchi, drawn: GeneratedImage) -> None:
    assert kimchi.generate("한국의 라면", negative="흐림", **QUICK).image.tobytes() != drawn.image.tobytes()
    assert kimchi.generate("한국의 라면", guidance=1, **QUICK).image.tobytes() != drawn.image.tobytes()
    assert kimchi.generate("한국의 라면", size_px=96, **QUICK).image.size == (96, 96)


def test_cut_words_are_said_aloud(kimchi: Kimchi, notices: list[str]) -> None:
    picture = kimchi.generate("라면 " * 667, **QUICK)
    assert picture.cut.startswith("라면 라면") and len(picture.cut) < 2000
    assert len(notices) == 1 and "75 tokens" in notices[0] and picture.cut in notices[0]


def test_notices_are_logged_by_default(tiny: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Kimchi(tiny, "cpu").generate("라면 " * 100, **QUICK)
    assert "not drawn" in caplog.text


BAD = [
    *({"seed": -1}, {"seed": MAX_SEED + 1}, {"seed": 1.5}, {"seed": True}, {"seed": "7"}),
    *({"steps": 0}, {"steps": 1001}, {"steps": "4"}, {"guidance": -1}, {"guidance": 31}, {"guidance": float("nan")}, {"guidance": "5"}),
    *({"size_px": 0}, {"size_px": 65}, {"size_px": 4096}, {"batch": 0}, {"negative": None}),
]


@pytest.mark.parametrize("setting", BAD, ids=str)
def test_a_bad_setting_is_named_with_its_rule(kimchi: Kimchi, setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(RequestError, match=name):
        kimchi.generate("라면", **setting)


def test_a_bad_prompt_draws_nothing_at_all(kimchi: Kimchi) -> None:
    steps: list[int] = []
    with pytest.raises(PromptError, match="names nothing"):
        kimchi.generate(["라면", "그려줘"], **QUICK, on_step=lambda done, total, latents: steps.append(done))
    with pytest.raises(RequestError, match="text"):
        kimchi.generate(7)  # type: ignore[call-overload]
    with pytest.raises(RequestError, match="text"):
        kimchi.generate(["라면", None])  # type: ignore[list-item]
    assert steps == []


def test_a_list_does_not_run_past_the_last_seed(kimchi: Kimchi) -> None:
    with pytest.raises(RequestError, match="seed"):
        kimchi.generate(["라면", "갓"], seed=MAX_SEED)


def test_a_device_this_machine_lacks(tiny: Any) -> None:
    with pytest.raises(RequestError, match="cpu"):
        Kimchi(tiny, "abacus")


def test_bad_places_leave_nothing_behind(drawn: GeneratedImage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "taken.png").mkdir()
    for place in ("file/a.png", "taken.png", "a.jpg"):
        with pytest.raises(OutputError, match=place):
            drawn.save(tmp_path / place)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken.png"]


def test_what_carries_no_record_is_refused(kimchi: Kimchi, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "broken.json").write_text('{"prompt": ', encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    (tmp_path / "part.json").write_text('{"prompt": "라면"}', encoding="utf-8")
    for name in ("plain.png", "broken.png", "broken.json", "list.json", "part.json", "absent.png"):
        with pytest.raises(DataError, match=name):
            kimchi.redraw(tmp_path / name)


def test_an_edited_record_is_checked_like_a_request(kimchi: Kimchi, drawn: GeneratedImage, tmp_path: Path) -> None:
    for key, value in {"batch": 0, "position": 1, "steps": 0, "seed": -1}.items():
        (tmp_path / "edited.json").write_text(json.dumps({**drawn.provenance, key: value}), encoding="utf-8")
        with pytest.raises(RequestError, match=key):
            kimchi.redraw(tmp_path / "edited.json")


def test_import_kimchi_is_light() -> None:
    code = "import sys, kimchi; assert 'torch' not in sys.modules and 'PIL' not in sys.modules; print(kimchi.__version__); assert kimchi.ImageRecord"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "0.1.0"), done.stderr


def test_public_names_are_there() -> None:
    import kimchi as package

    assert all(getattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        package.nothing_of_the_kind  # noqa: B018
