"""From an instrument and folders of pictures to a blinded, sealed study, and to its end."""

import io
import json
import os
import shutil
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import yaml
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from kimchi import recipes
from kimchi.cli import main
from kimchi.data.files import hash_file
from kimchi.errors import DataError, KimchiError, OutputError, RecipeError, StudyError
from kimchi.eval.study import blind
from kimchi.eval.study.draw import draw, prompt_seed
from kimchi.eval.study.folder import StudyFolder
from kimchi.eval.study.lock import check_lock, lock, locked_at
from kimchi.eval.study.new import new
from kimchi.eval.study.purge import due, purge, withdraw
from kimchi.eval.study.schema import Instrument, load_instrument
from kimchi.eval.study.status import describe, status
from kimchi.eval.study.vault import read_vault
from kimchi.recipes.study import Criterion

INSTRUMENT = """\
# A small study.
# kimchi study new small.yaml --images arms
kind: study
name: small
title: {ko: 작은 조사, en: A small study}
scales:
  agreement:
    labels: {ko: [일, 이, 삼, 사, 오], en: [one, two, three, four, five]}
    unable: {ko: 판단 불가, en: Cannot judge}
criteria:
  - {id: alignment, name: {ko: 일치, en: Match}, text: {ko: 맞다, en: It matches}}
  - {id: errors, name: {ko: 오류, en: Errors}, text: {ko: 틀렸다, en: It is wrong}, agreeing_is_good: false}
domains:
  culture: {name: {ko: 문화, en: Culture}, criteria: [alignment, errors], per_rater: 2}
prompts:
  - {id: ramyeon, domain: culture, topic: food, noun: 라면, rich: 한국의 라면, romanised: ramyeon, en: Korean noodles}
  - {id: hanbok, domain: culture, topic: dress, noun: 한복, rich: 고운 한복, romanised: hanbok, en: Korean dress}
  - {id: hanok, domain: culture, topic: place, noun: 한옥, rich: 오래된 한옥, romanised: hanok, en: Korean house}
size_px: 96
assignment: {raters: 4, spare: 0.25, repeats: 1, gold: 1, traps: 1, gap: 2}
consent: {blanks: {institution: 학교, contact: 전화, reward: 없음}}
ethics: 면제
"""
CONDITIONS = ("kimchi", "photo")
NOW = 1_800_000_000_000
YEAR = 31_557_600_000


@pytest.fixture
def instrument(tmp_path: Path) -> Instrument:
    path = tmp_path / "small.yaml"
    path.write_text(INSTRUMENT, encoding="utf-8")
    return load_instrument(str(path))


def noise(seed: int, size: tuple[int, int] = (128, 128)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8))


@pytest.fixture
def arms(tmp_path: Path) -> Path:
    for c, condition in enumerate(CONDITIONS):
        folder = tmp_path / "arms" / condition
        folder.mkdir(parents=True)
        for p, prompt in enumerate(("ramyeon", "hanbok", "hanok")):
            chunks = PngInfo()
            chunks.add_text("Software", f"SECRET-{condition}")
            noise(10 * c + p).save(folder / f"{prompt}.png", pnginfo=chunks)
    (tmp_path / "arms/photo/licence.txt").write_text("CC0, 나", encoding="utf-8")
    return tmp_path / "arms"


@pytest.fixture
def study(instrument: Instrument, arms: Path, tmp_path: Path) -> StudyFolder:
    return StudyFolder(new(instrument, arms, tmp_path / "study").folder)


@pytest.fixture
def locked(study: StudyFolder) -> StudyFolder:
    lock(study.path, now=NOW)
    return study


def rate_all(folder: StudyFolder, now: int = NOW) -> str:
    """One rater, from claim to finish; the code comes back."""
    with folder.store() as store:
        session = store.claim(now=now)
        store.consent(session.id, "text", "phone", now=now)
        for one in store.trials(session.slot):
            for criterion in one.criteria:
                store.rate(session.id, one.id, criterion, one.expected or 4, str(uuid4()), now=now + 60_000, rt_ms=2000)
        store.finish(session.id, now=now + 60_000)
    return session.code


class TestInstruments:
    def test_the_shipped_one_is_the_source_s_with_the_prompts_of_the_facts(self) -> None:
        found = load_instrument("culture_2025")
        assert found.name == "kimchi-2025"
        assert [len(found.prompts_in(domain)) for domain in ("culture", "general")] == [60, 30]
        names = [found.criterion(one).name["en"] for one in ("alignment", "reality", "suitability", "errors")]
        assert names == ["Text-Image Alignment", "Reality", "Domain-Specific Suitability", "Error Detection"]
        assert [found.criterion(one).agreeing_is_good for one in ("alignment", "reality", "suitability", "errors")] == [True, True, True, False]
        assert found.scales["agreement"].labels["ko"] == ("매우 그렇지 않다", "그렇지 않다", "보통이다", "그렇다", "매우 그렇다")
        assert found.scales["agreement"].unable["ko"] == "판단 불가"
        assert sum(found.per_rater(domain) for domain in found.domains) == 20

    def test_every_prompt_has_its_four_wordings_and_look_alikes(self) -> None:
        for one in load_instrument("culture_2025").prompts:
            assert all((one.noun, one.rich, one.romanised, one.en, one.look_alikes)), one.id
            assert any("가" <= c <= "힣" for c in one.rich) and not any("가" <= c <= "힣" for c in one.romanised)
            assert len(one.rich) > len(one.noun)

    def test_complete_shows_everyone_everything(self) -> None:
        found = load_instrument("culture_2025", ("mode=complete",))
        assert [found.per_rater(domain) for domain in found.domains] == [60, 30]

    def test_the_country_instrument_takes_the_cultural_prompts(self) -> None:
        found, source = load_instrument("country_2025"), load_instrument("culture_2025")
        assert found.prompts == source.prompts_in("culture")
        assert found.scales["country"].labels["ko"][:3] == ("한국", "일본", "중국")
        assert not found.criterion("country").needs_text

    @pytest.mark.parametrize(
        ("old", "fresh", "said"),
        [
            ("per_rater: 2", "per_rater: 0", "greater than or equal to 1"),
            ("criteria: [alignment, errors]", "criteria: [alignment, beauty]", "beauty is none of alignment, errors"),
            ("id: hanbok", "id: ramyeon", "'ramyeon' stands twice"),
            ("id: hanbok", "id: practice", "'practice'"),
            ("id: hanbok", "id: ../../etc/passwd", "should match pattern"),
            ("id: hanbok", "id: Hanbok", "should match pattern"),
            ("domain: culture, topic: dress", "domain: cultur, topic: dress", "'cultur', which `domains` does not have"),
            ("rich: 고운 한복", "rich: ' '", "must not be empty"),
            ("en: [one, two, three, four, five]", "en: [one, two]", "every language has the same"),
            ("en: It matches", "de: Es passt", "nothing in en"),
            ("name: small", "name: small\nlanguages: [ko, fr]", "worded in ko and en"),
            ("name: small", "name: small\nprompts_of: culture_2025", "one of the two"),
            ("size_px: 96", "sizepx: 96", "did you mean `size_px`"),
            ("per_rater: 2", "per_raters: 2, per_rater: 2", r"`domains\.culture\.per_raters` is not a key here; did you mean `per_rater`"),
        ],
    )
    def test_a_mistake_is_explained(self, tmp_path: Path, old: str, fresh: str, said: str) -> None:
        (tmp_path / "wrong.yaml").write_text(INSTRUMENT.replace(old, fresh), encoding="utf-8")
        with pytest.raises(RecipeError, match=said):
            load_instrument(str(tmp_path / "wrong.yaml"))

    def test_every_key_is_described(self) -> None:
        module = recipes.study
        schemas = (recipes.StudyRecipe, module.Scale, Criterion, module.Domain, module.Prompt, module.Assignment, module.Quality, module.Registered)
        silent = [(one.__name__, name) for one in schemas for name, known in one.model_fields.items() if not known.description and name != "kind"]
        assert silent == []

    def test_the_consent_text_says_what_the_law_asks(self) -> None:
        folder = recipes.HOME / "eval/texts/korea"
        text = (folder / "consent.ko.md").read_text(encoding="utf-8")
        for part in (
            "목적",
            "방법과 걸리는 시간",
            "모으는 것",
            "이름·연락처·IP 주소는 저장하지 않습니다",
            "파기",
            "자발적",
            "철회",
            "불이익이 없습니다",
            "사례",
            "문의",
        ):
            assert part in text, part
        assert {one.name for one in folder.iterdir()} == {f"{kind}.{language}.md" for kind in ("consent", "privacy") for language in ("ko", "en")}


class TestBlinding:
    def test_pixels_remain_and_nothing_else(self, study: StudyFolder, arms: Path) -> None:
        files = sorted(study.pictures.iterdir())
        assert len(files) == 7, "six pictures and the practice one"
        for path in files:
            content = path.read_bytes()
            assert b"SECRET" not in content and b"tEXt" not in content and b"iCCP" not in content and b"eXIf" not in content
            with Image.open(path) as image:
                assert (image.size, image.mode, image.format, image.info) == ((96, 96), "RGB", "PNG", {})
            assert path.stem.isalnum() and len(path.stem) == 32
        assert len({path.stat().st_mtime for path in files}) == 1, "a server that tells when a file was written tells the order of the conditions"

    def test_the_server_s_files_name_no_picture_s_condition(self, study: StudyFolder) -> None:
        vault = read_vault(study.vault)
        study.store().close()
        held = study.database.read_bytes()
        assert not any(word in held for word in (b"photo", b"kimchi/", b"arms", b"licence", b"SECRET"))
        assert {row.condition for row in vault.values()} == {"", *CONDITIONS}
        assert next(row for row in vault.values() if row.condition == "photo").licence == "CC0, 나"
        assert all(row.sha256 == hash_file(Path(row.path)) for row in vault.values() if row.condition)

    def test_what_servings_are_padded_to_is_one_length_a_prompt(self, study: StudyFolder) -> None:
        with study.store() as store:
            rows = store.stimuli()
        for prompt in {one.prompt_id for one in rows}:
            own = [one for one in rows if one.prompt_id == prompt]
            assert len({one.padded_bytes for one in own}) == 1
            assert own[0].padded_bytes >= max(study.picture(one.id).stat().st_size for one in own) + 12

    def test_every_serving_has_a_name_of_its_own(self, study: StudyFolder) -> None:
        with study.store() as store:
            trials = [one for slot in range(1, 6) for one in store.trials(slot)]
            assert len({one.picture for one in trials}) == len(trials)
            assert not {one.picture for one in trials} & {one.id for one in store.stimuli()}
            found = store.serving(trials[3].picture)
            assert found is not None and (found.stimulus, found.slot) == (trials[3].stimulus, trials[3].slot)
            assert store.serving("../../vault/vault.db") is None

    def test_a_wide_gamut_photograph_keeps_its_looks(self) -> None:
        red = Image.new("RGB", (80, 80), (200, 30, 30))
        buffer = io.BytesIO()
        red.save(buffer, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        assert _pixel(buffer.getvalue()) == pytest.approx((200, 30, 30), abs=2)
        damaged = io.BytesIO()
        red.save(damaged, "PNG", icc_profile=b"\0" * 16 + b"RGB " + b"\0" * 200)
        assert _pixel(damaged.getvalue()) == (200, 30, 30)

    def test_the_same_picture_gives_the_same_bytes(self) -> None:
        buffer = io.BytesIO()
        noise(1, (300, 200)).save(buffer, "WEBP", lossless=True)
        first, second = (blind.blind(buffer.getvalue(), "x", 96) for _ in range(2))
        assert first == second and (first.width, first.height) == (96, 96)


def _pixel(content: bytes) -> tuple[int, ...]:
    with Image.open(io.BytesIO(blind.blind(content, "x", 64).png)) as image:
        found = image.getpixel((5, 5))
    assert isinstance(found, tuple)
    return found


def bomb(path: Path) -> None:
    """A PNG whose header promises 100,000 x 100,000 pixels."""
    small = io.BytesIO()
    Image.new("RGB", (1, 1)).save(small, "PNG")
    header = bytearray(small.getvalue())
    header[16:24] = (100_000).to_bytes(4) * 2
    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4)
    path.write_bytes(bytes(header))


class TestBadPictures:
    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            (lambda a: (a / "photo/hanok.png").unlink(), "photo/hanok: missing"),
            (lambda a: shutil.copy(a / "photo/hanok.png", a / "photo/hanok.webp"), "photo/hanok: doubled"),
            (lambda a: (a / "photo/hanok.png").write_bytes(b"no picture"), "photo/hanok.png: cannot be decoded"),
            (lambda a: (a / "photo/hanok.png").write_bytes((a / "photo/hanbok.png").read_bytes()[:5000]), "photo/hanok.png: cannot be decoded"),
            (lambda a: noise(1, (20, 90)).save(a / "photo/hanok.png"), "photo/hanok.png: 20 x 90 px, and nothing below 64"),
            (lambda a: bomb(a / "photo/hanok.png"), "photo/hanok.png: .*130,000,000"),
            (lambda a: _link(a / "photo/hanok.png", Path("/etc/hostname")), "photo/hanok.png: is a link"),
            (lambda a: _pipe(a / "photo/hanok.png"), "photo/hanok.png: is no plain file"),
            (lambda a: shutil.copy(a / "kimchi/hanok.png", a / "photo/hanok.png"), "kimchi/hanok and photo/hanok: one and the same file"),
            (lambda a: (a / "sd 2.1").mkdir(), "sd 2.1/: a condition's name"),
            (lambda a: (a / "linked").symlink_to(a / "photo"), "linked/: is a link"),
            (lambda a: (a / "sd21").mkdir(), "3 of the pictures cannot be used.*sd21/ramyeon: missing.*sd21/hanbok.*sd21/hanok"),
        ],
    )
    def test_each_is_told_and_no_study_is_made(self, instrument: Instrument, arms: Path, tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
        spoil(arms)
        before = sorted(tmp_path.iterdir())
        with pytest.raises(StudyError, match=said) as caught:
            new(instrument, arms, tmp_path / "study")
        assert "\n" not in str(caught.value)
        assert sorted(tmp_path.iterdir()) == before, "whole or not at all"

    def test_a_photograph_of_aihub(self, instrument: Instrument, arms: Path, tmp_path: Path) -> None:
        moved = tmp_path / "AIHub_079" / "arms"
        shutil.copytree(arms, moved)
        with pytest.raises(StudyError, match="terms forbid showing its pictures"):
            new(instrument, moved, tmp_path / "study")

    def test_no_folder_and_an_empty_one(self, instrument: Instrument, tmp_path: Path) -> None:
        with pytest.raises(StudyError, match="no such folder"):
            new(instrument, tmp_path / "none", tmp_path / "study")
        (tmp_path / "empty").mkdir()
        with pytest.raises(StudyError, match="holds no folder"):
            new(instrument, tmp_path / "empty", tmp_path / "study")

    def test_sizes_that_differ_and_pictures_too_many_are_told(self, instrument: Instrument, arms: Path, tmp_path: Path) -> None:
        noise(77, (300, 90)).save(arms / "photo/hanok.png")
        noise(78).save(arms / "photo/extra.png")
        (arms / "photo/.DS_Store").write_bytes(b"")
        made = new(instrument, arms, tmp_path / "study")
        assert made.size_px == 90
        told = " ".join(made.notices)
        assert "Sizes differ, from 300 x 90 px (photo/hanok.png) to 128 x 128 px" in told
        assert "lose their ends" in told and "photo/extra.png" in told and "AIHub's terms forbid" in told

    def test_nothing_is_written_over(self, instrument: Instrument, arms: Path, study: StudyFolder) -> None:
        with pytest.raises(StudyError, match="never written over"):
            new(instrument, arms, study.path)

    def test_a_place_that_cannot_be_written(self, instrument: Instrument, arms: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError):
            new(instrument, arms, tmp_path / "file" / "study")

    def test_conditions_of_one_domain(self, arms: Path, tmp_path: Path) -> None:
        (tmp_path / "small.yaml").write_text(INSTRUMENT, encoding="utf-8")
        chosen = load_instrument(str(tmp_path / "small.yaml"), ("domains.culture.conditions=[kimchi]",))
        assert new(chosen, arms, tmp_path / "one").conditions == ("kimchi",)
        with pytest.raises(StudyError, match="sd15/: no such folder, and domain culture compares it"):
            new(load_instrument(str(tmp_path / "small.yaml"), ("domains.culture.conditions=[kimchi,sd15]",)), arms, tmp_path / "two")


class TestPlan:
    def test_the_plan_is_in_the_database(self, study: StudyFolder) -> None:
        vault, places = read_vault(study.vault), Counter[tuple[str, int]]()
        with study.store() as store:
            for slot in range(1, 5):
                trials = store.trials(slot)
                assert [one.kind for one in trials].count("practice") == 1 and trials[0].prompt == "practice"
                assert {one.criteria for one in trials if one.kind == "trap"} <= {("alignment",)}
                for one in trials:
                    source = vault[one.stimulus]
                    assert (source.prompt == one.prompt) == (one.kind != "gold")
                    if one.kind == "main":
                        places[source.condition, one.position] += 1
        assert max(places.values()) - min(places.values()) <= 1
        assert store.progress().slots == {"free": 5}

    def test_texts_in_both_languages(self, study: StudyFolder) -> None:
        with study.store() as store:
            texts = {one.prompt: dict(one.texts) for one in store.trials(1)}
        assert texts["practice"]["ko"].endswith("빨간 사과")
        assert {"ko": "고운 한복", "en": "Korean dress"} in texts.values() or {"ko": "한국의 라면", "en": "Korean noodles"} in texts.values()

    def test_by_invitation(self, arms: Path, tmp_path: Path) -> None:
        (tmp_path / "small.yaml").write_text(INSTRUMENT, encoding="utf-8")
        folder = StudyFolder(new(load_instrument(str(tmp_path / "small.yaml"), ("assignment.invitation=true",)), arms, tmp_path / "study").folder)
        invitations = folder.invitations.read_text().splitlines()
        assert len(invitations) == 5 and folder.invitations.stat().st_mode & 0o077 == 0
        lock(folder.path, now=NOW)
        with folder.store() as store:
            assert store.claim(now=NOW, invite=invitations[2]).ordinal == 0


class TestLock:
    def test_a_locked_study_is_as_it_was(self, locked: StudyFolder) -> None:
        protocol = check_lock(locked.path)
        assert protocol.conditions == {"culture": CONDITIONS}
        assert locked_at(locked.path) == NOW
        sealed = json.loads(locked.lock.read_text())
        assert set(sealed["pictures"]) == {one.name for one in locked.pictures.iterdir()}
        rate_all(locked)
        check_lock(locked.path)

    def test_before_the_lock(self, study: StudyFolder) -> None:
        with pytest.raises(StudyError, match="is not locked"):
            check_lock(study.path)
        assert locked_at(study.path) is None

    def test_twice(self, locked: StudyFolder) -> None:
        with pytest.raises(StudyError, match="locked already"):
            lock(locked.path, now=NOW)

    def test_interrupted_before_its_last_file_it_goes_on(self, locked: StudyFolder) -> None:
        locked.lock.unlink()
        lock(locked.path, now=NOW + 5)
        check_lock(locked.path)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda f: f.protocol.write_text(f.protocol.read_text().replace("margin: 0.3", "margin: 0.5")), r"protocol\.yaml"),
            (lambda f: noise(5, (96, 96)).save(sorted(f.pictures.iterdir())[2]), r"pictures/[0-9a-f]{32}\.png"),
            (lambda f: sorted(f.pictures.iterdir())[2].unlink(), "is missing"),
            (lambda f: (f.pictures / "new.png").write_bytes(b""), r"pictures/new\.png is new"),
            (lambda f: _sql(f, "UPDATE prompt SET texts = '{}' WHERE id = 'hanok'"), r"the plan in study\.db"),
            (lambda f: _sql(f, "UPDATE trial SET stimulus_id = (SELECT id FROM stimulus LIMIT 1)"), r"the plan in study\.db"),
            (lambda f: _sql(f, "UPDATE study SET protocol_hash = 'other'"), r"protocol\.yaml"),
            (lambda f: f.lock.write_text("{}"), "cannot be read"),
        ],
    )
    def test_what_was_changed_is_named(self, locked: StudyFolder, change: Callable[[StudyFolder], object], said: str) -> None:
        change(locked)
        with pytest.raises(StudyError, match=said):
            check_lock(locked.path)

    def test_empty_blanks_are_named(self, arms: Path, tmp_path: Path) -> None:
        (tmp_path / "blank.yaml").write_text(INSTRUMENT.replace("contact: 전화, ", "").replace("ethics: 면제", ""), encoding="utf-8")
        folder = new(load_instrument(str(tmp_path / "blank.yaml")), arms, tmp_path / "study").folder
        with pytest.raises(StudyError, match="empty blanks: contact, ethics"):
            lock(folder, now=NOW)

    def test_a_focus_that_is_no_condition(self, arms: Path, tmp_path: Path) -> None:
        (tmp_path / "focus.yaml").write_text(INSTRUMENT + "analysis: {focus: kimchy}\n", encoding="utf-8")
        made = new(load_instrument(str(tmp_path / "focus.yaml")), arms, tmp_path / "study")
        assert any("'kimchy'" in one for one in made.notices)
        with pytest.raises(StudyError, match=r"'kimchy' is no condition of this study \(kimchi, photo\)"):
            lock(made.folder, now=NOW)

    def test_no_study(self, tmp_path: Path) -> None:
        for command in (lambda: lock(tmp_path, now=NOW), lambda: check_lock(tmp_path), lambda: status(tmp_path, now=NOW), lambda: purge(tmp_path, now=NOW)):
            with pytest.raises(StudyError, match="holds no protocol"):
                command()


def _link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _sql(folder: StudyFolder, statement: str) -> None:
    raw = sqlite3.connect(folder.database)
    raw.execute(statement)
    raw.commit()
    raw.close()


class TestRefills:
    def test_a_refill_has_practice_checks_and_whole_prompts_in_their_orders(self, locked: StudyFolder) -> None:
        with locked.store() as store:
            for _ in range(5):
                store.claim(now=NOW)
            # Whoever comes after three days finds what was left, with nobody having run anything.
            old, fresh = store.trials(1), store.trials(store.claim(now=NOW + 73 * 3_600_000).slot)
            assert store.progress().slots == {"claimed": 1, "expired": 5, "free": 4}
            assert Counter(one.kind for one in fresh) == {"practice": 1, "main": 4, "gold": 1, "trap": 1}
            assert fresh[0].kind == "practice" and [one.seq for one in fresh] == list(range(7))
            assert [(one.stimulus, one.position) for one in fresh if one.kind == "main"] == [(one.stimulus, one.position) for one in old if one.kind == "main"]


class TestStatus:
    def test_a_study_nobody_has_come_to(self, study: StudyFolder) -> None:
        found = status(study.path, now=NOW)
        assert (found.locked, found.done, found.free, found.coverage.rated, found.hours_left) == (False, 0, 5, 0, None)
        assert describe(found)

    def test_a_study_under_way(self, locked: StudyFolder) -> None:
        for _ in range(2):
            rate_all(locked)
        with locked.store() as store:
            store.claim(now=NOW)
        found = status(locked.path, now=NOW + 3_600_000)
        assert (found.done, found.active, found.free) == (2, 1, 2)
        assert found.answered == pytest.approx(0.5, abs=0.05)
        assert found.coverage.pictures == 6 and found.coverage.rated >= 4
        assert (found.watch.unable, found.watch.trap_failures, found.watch.median_rt_ms) == (0, 0, 2000)
        assert found.chain.ok and found.minutes_a_rater == pytest.approx(1)
        assert found.hours_left == pytest.approx(1, abs=0.1)
        assert "2 of 4 done" in describe(found)[0]

    def test_the_vault_stays_shut(self, locked: StudyFolder) -> None:
        shutil.rmtree(locked.vault.parent)
        assert status(locked.path, now=NOW).locked


class TestPurge:
    def test_one_rater_by_code(self, locked: StudyFolder) -> None:
        code = rate_all(locked)
        rate_all(locked)
        assert withdraw(locked.path, code, now=NOW + 1).ratings > 0
        found = status(locked.path, now=NOW)
        assert found.chain.ok and (found.withdrawn, found.done) == (1, 1)
        check_lock(locked.path)

    def test_before_its_time_only_with_a_reason(self, locked: StudyFolder) -> None:
        rate_all(locked)
        assert due(locked.path) == NOW + 3 * YEAR
        with pytest.raises(StudyError, match="kept until 2030-"):
            purge(locked.path, now=NOW + 3 * YEAR - 1)
        assert locked.database.is_file()
        purge(locked.path, now=NOW, early="위원회의 결정")
        assert json.loads(locked.purged.read_text(encoding="utf-8"))["early"] == "위원회의 결정"

    def test_what_goes_and_what_stays(self, locked: StudyFolder) -> None:
        rate_all(locked)
        (locked.path / "analysis").mkdir()
        (locked.path / "analysis/results.json").write_text("{}")
        sealed = hash_file(locked.lock)
        outcome = purge(locked.path, now=NOW + 3 * YEAR)
        assert {one.name for one in locked.path.iterdir()} == {"protocol.yaml", "lock.json", "purged.json", "analysis"} == set(outcome.kept)
        record = json.loads(locked.purged.read_text())
        assert record["chain_held"] and len(record["chain_head"]) == 64 and "study.db" in record["files"] and "vault/vault.db" in record["files"]
        assert hash_file(locked.lock) == sealed
        with pytest.raises(StudyError, match="was purged"):
            locked.store()


class TestDraw:
    def test_draws_what_is_missing_and_keeps_sidecars(self, tmp_path: Path, instrument: Instrument) -> None:
        out = tmp_path / "arms/mini"
        first = draw(instrument, out, seed=7, steps=2)
        assert (first.drawn, first.found, first.wording) == (3, 0, "rich")
        record = json.loads((out / "hanbok.json").read_text(encoding="utf-8"))
        assert (record["prompt_typed"], record["seed"]) == ("고운 한복", prompt_seed(7, "hanbok"))
        before = hash_file(out / "hanbok.png")
        (out / "hanbok.json").unlink()
        (out / "hanok.png").unlink()
        again = draw(instrument, out, seed=7, steps=2)
        assert (again.drawn, again.found) == (2, 1)
        assert hash_file(out / "hanbok.png") == before, "drawn alone it is the same picture"

    def test_another_picture_is_never_drawn_over(self, tmp_path: Path, instrument: Instrument) -> None:
        draw(instrument, tmp_path / "a", wording="noun", steps=1)
        with pytest.raises(StudyError, match="was drawn from '라면'"):
            draw(instrument, tmp_path / "a", wording="rich", steps=1)
        noise(1).save(tmp_path / "a/hanok.png")
        with pytest.raises(StudyError, match="no picture that KIMCHI drew"):
            draw(instrument, tmp_path / "a", wording="noun", steps=1)

    @pytest.mark.parametrize(("given", "said"), [({"wording": "poem"}, "noun, rich, romanised, en"), ({"domains": ("general",)}, "small has culture")])
    def test_a_mistake_is_explained(self, tmp_path: Path, instrument: Instrument, given: dict[str, object], said: str) -> None:
        with pytest.raises(StudyError, match=said):
            draw(instrument, tmp_path / "a", **given)  # type: ignore[arg-type]

    def test_provenance_reaches_the_vault(self, tmp_path: Path, instrument: Instrument, arms: Path) -> None:
        shutil.rmtree(arms / "kimchi")
        draw(instrument, arms / "kimchi", seed=3, steps=1)
        folder = StudyFolder(new(instrument, arms, tmp_path / "study").folder)
        row = next(one for one in read_vault(folder.vault).values() if (one.condition, one.prompt) == ("kimchi", "hanbok"))
        assert (row.seed, row.prompt_used) == (str(prompt_seed(3, "hanbok")), "고운 한복") and row.generator.startswith("mini")


class TestCommands:
    def test_from_new_to_purge(self, tmp_path: Path, arms: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "small.yaml").write_text(INSTRUMENT, encoding="utf-8")
        study = "runs/small"
        assert main(["study", "new", "small.yaml", "--images", "arms", "--json"]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out.splitlines()[-1])["folder"] == study
        assert "AIHub's terms forbid" in said.err and said.err.endswith(f"then: kimchi study lock {study}\n")
        assert main(["study", "lock", study]) == 0
        code = rate_all(StudyFolder(Path(study)))
        capsys.readouterr()
        assert main(["study", "status", study, "--json"]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out.splitlines()[-1])["done"] == 1 and "1 of 4 done" in said.out
        assert main(["study", "purge", study, "--code", code]) == 0
        assert main(["study", "purge", study]) == 1
        assert "kept until" in capsys.readouterr().err
        assert main(["study", "purge", study, "--early", "시험"]) == 0
        assert main(["study", "status", study]) == 1

    def test_new_without_pictures_is_wrong_usage(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["study", "new", "culture_2025"]) == 2
        assert "--images" in capsys.readouterr().err

    def test_power(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["study", "power", "--raters", "12", "--prompts", "12", "--per-rater", "6", "--studies", "10", "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["raters"] == 12


def test_a_protocol_reads_back_as_it_was_written(study: StudyFolder) -> None:
    protocol = study.read_protocol()
    assert yaml.safe_load(study.protocol.read_text(encoding="utf-8")) == protocol.model_dump(mode="json")
    assert "전화" in protocol.consent["ko"] and "{" not in protocol.consent["ko"] + protocol.privacy["en"] and "<!--" not in protocol.consent["ko"]
    assert protocol.consent_hash("ko") != protocol.consent_hash("en")


def test_a_text_that_is_missing(arms: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/consent.ko.md").write_text("동의", encoding="utf-8")
    for texts, said in ((str(tmp_path / "texts"), "no such file, and raters may read"), ("mars", "Use korea")):
        (tmp_path / "x.yaml").write_text(INSTRUMENT.replace("consent: {", f"consent: {{texts: {texts}, "), encoding="utf-8")
        with pytest.raises(KimchiError, match=said):
            new(load_instrument(str(tmp_path / "x.yaml")), arms, tmp_path / "study")


def test_a_file_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blind, "MAX_BYTES", 10)
    (tmp_path / "x.png").write_bytes(b"0" * 11)
    with pytest.raises(DataError, match="the limit is"):
        blind.read_picture(tmp_path / "x.png", "x")
