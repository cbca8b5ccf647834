"""What every test stands on: no network, no shared caches, and a way to require the checks that are optional on a laptop."""

import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Before any test imports a hub library: they read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# As the command line does: threads that wait busily take the core from the server or the browser that a test waits for.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Several workers share the cores: one thread each is faster than all of them each, and so for the processes they start.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples each time: what a change broke is not mixed up with what chance has found. HYPOTHESIS_PROFILE=new draws others.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("new", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """A test neither reads nor fills the user's caches; nor does what a whole module shares."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KIMCHI_HOME", str(tmp_path_factory.getbasetemp() / "kimchi-home"))
        yield


@pytest.fixture(scope="module")
def browser() -> "Generator[Browser]":
    """The machine's own Chromium; playwright's is never fetched."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs Chromium on the PATH. Debian: apt install chromium fonts-noto-cjk")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found)
        yield opened
        opened.close()


_LONGEST = (
    "test_trainer.py",
    "test_ray.py",
    "test_booth_browser.py",
    "test_study_whole.py",
    "test_quickstart.py",
    "test_study_web_browser.py",
    "test_process.py",
)
"""Files that take a minute and more, the longest first."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: begun last, they would be waited for by one worker while the others have nothing left to do."""
    items.sort(key=lambda item: _LONGEST.index(item.path.name) if item.path.name in _LONGEST else len(_LONGEST))


def _require(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where everything is required, a skip is a failure: a check that silently never runs is none."""
    if os.environ.get("KIMCHI_REQUIRE_ALL") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and KIMCHI_REQUIRE_ALL is set: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skips of single tests."""
    report = yield
    _require(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skips of whole files."""
    report = yield
    _require(report)
    return report


def text_folder(folder: Path, tokenizer_folder: Path, width: int = 128) -> None:
    """A CLIP text encoder and its tokenizer, of the true classes and formats, random and very small."""
    # Here and below, so that tests which need no torch do not wait for it.
    from transformers import CLIPTextConfig, CLIPTextModel

    from kimchi.data.sample_world import worlds
    from kimchi.data.sample_world.captions import captions, noun
    from kimchi.data.sample_world.pictures import picture
    from kimchi.training.mini import clip
    from kimchi.training.mini.tokenizers import learn

    texts = [t for c in worlds("korean") for t in (noun(c).ko, noun(c).en, captions(picture(c, 0)).ko)]
    tokenizer = learn(texts, merges=100)
    config = CLIPTextConfig(**clip.text_config({"width": width, "layers": 1}, tokenizer))
    CLIPTextModel(config).half().save_pretrained(folder)
    tokenizer.save_pretrained(tokenizer_folder)


@pytest.fixture
def make_text_folder() -> Callable[..., None]:
    """text_folder, for encoders of other widths."""
    return text_folder


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model of the true classes and formats, random and very small."""
    import torch

    from kimchi.data.files import write_json
    from kimchi.training.mini import unet, vae

    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    vae.build({"widths": (8, 16, 16)}).half().save_pretrained(folder / "vae")
    unet.build({"widths": (32, 32, 64), "heads": (1, 1, 1)}).half().save_pretrained(folder / "unet")
    unet.scheduler().save_pretrained(folder / "scheduler")
    write_json(folder / "model_index.json", unet.model_index())
    text_folder(folder / "text_encoder", folder / "tokenizer")
    return folder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Korean encoder that fits it."""
    import torch

    folder = tmp_path_factory.mktemp("korean-clip")
    torch.manual_seed(1)
    text_folder(folder, folder)
    return folder
