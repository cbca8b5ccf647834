"""study.db: what is acknowledged is there, whatever happens; what happens twice has happened once; what is withdrawn is gone."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kimchi.errors import StudyError
from kimchi.eval.study import codes
from kimchi.eval.study.store import (
    MAX_COMMENT,
    PromptRow,
    Refused,
    Session,
    SlotRow,
    StimulusRow,
    Store,
    TrialRow,
    Why,
    create_store,
    open_store,
)

CRITERIA = ("alignment", "reality")
HOUR = 3_600_000


def stimulus(prompt: int, condition: int) -> str:
    return f"{prompt:016x}{condition:016x}"


def made(path: Path, *, slots: int = 4, prompts: int = 4, lock: bool = True, spare: int = 0, invitation: bool = False) -> Store:
    texts = [PromptRow(id=f"p{n}", domain="culture", texts={"ko": "라면"}, criteria=CRITERIA) for n in range(prompts)]
    rows = [StimulusRow(id=stimulus(n, c), prompt_id=f"p{n}", sha256="", width=8, height=8, padded_bytes=99) for n in range(prompts) for c in range(2)]
    places = [
        SlotRow(
            ordinal=number,
            kind="main" if number < slots - spare else "spare",
            trials=tuple(
                TrialRow(seq=2 * n + c, kind="main", prompt_id=f"p{n}", stimulus_id=stimulus(n, c), picture=uuid4().hex, position=c + 1)
                for n in range(prompts)
                for c in range(2)
            ),
        )
        for number in range(slots)
    ]
    store = create_store(path, name="test", prompts=texts, stimuli=rows, slots=places, prompts_a_slot=prompts, by_invitation=invitation)
    if lock:
        store.lock("sealed", now=1)
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with made(tmp_path / "study.db") as opened:
        yield opened


def begun(store: Store, now: int = 10) -> Session:
    """A rater who has consented."""
    session = store.claim(now=now, language="ko")
    store.consent(session.id, "text", "phone", now=now)
    return session


def why(caught: pytest.ExceptionInfo[Refused]) -> Why:
    return caught.value.why


def fill(store: Store, session: Session, prompts: int = 99, now: int = 20) -> None:
    for one in store.trials(session.slot)[: 2 * prompts]:
        for criterion in one.criteria:
            store.rate(session.id, one.id, criterion, 4, str(uuid4()), now=now)


class TestCodes:
    def test_a_code_survives_how_people_type_it(self) -> None:
        code = codes.new_code()
        plain = code.replace(" ", "")
        assert len(plain) == 20 and plain.isdecimal()
        wide = "".join(chr(ord("０") + int(c)) for c in plain)
        assert {codes.tidy(typed) for typed in (code, plain, code.replace(" ", "-"), f"  {code}\n", wide)} == {plain}

    @given(st.integers(0, 19), st.integers(1, 9))
    def test_a_wrong_digit_is_noticed(self, place: int, more: int) -> None:
        code = codes.new_code().replace(" ", "")
        wrong = code[:place] + str((int(code[place]) + more) % 10) + code[place + 1 :]
        assert codes.tidy(wrong) is None

    @given(st.integers(0, 18))
    def test_swapped_neighbours_are_noticed(self, place: int) -> None:
        code = codes.new_code().replace(" ", "")
        swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
        assert swapped == code or codes.tidy(swapped) is None

    @given(st.text(max_size=60))
    def test_nothing_typed_is_a_bug(self, typed: str) -> None:
        found = codes.tidy(typed)
        assert found is None or len(found) == 20

    def test_only_a_salted_hash_is_kept(self, store: Store, tmp_path: Path) -> None:
        code = store.claim(now=1).code
        store.close()
        held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert code.encode() not in held and codes.grouped(code).encode() not in held


class TestPlaces:
    def test_nothing_is_collected_before_the_lock(self, tmp_path: Path) -> None:
        with made(tmp_path / "open.db", lock=False) as store, pytest.raises(Refused) as caught:
            store.claim(now=1)
        assert why(caught) is Why.NOT_LOCKED

    def test_a_lock_is_not_renewed(self, store: Store) -> None:
        with pytest.raises(StudyError, match="locked already"):
            store.lock("other", now=2)
        assert store.protocol_hash() == "sealed"

    def test_places_are_claimed_once_each_by_many_at_once(self, tmp_path: Path) -> None:
        with made(tmp_path / "many.db", slots=24) as store:
            found: list[int] = []
            threads = [threading.Thread(target=lambda: found.append(store.claim(now=1).ordinal)) for _ in range(24)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(found) == list(range(24))
            with pytest.raises(Refused) as caught:
                store.claim(now=2)
            assert why(caught) is Why.FULL

    def test_main_places_come_first_then_refills_then_spare_ones(self, tmp_path: Path) -> None:
        with made(tmp_path / "order.db", slots=3, spare=1) as store:
            first = begun(store)
            store.claim(now=HOUR)
            assert store.expire(now=2 * HOUR, after_ms=HOUR + 1).refills == 1
            assert [store.claim(now=3 * HOUR).ordinal for _ in range(2)] == [3, 2]
            assert store.session(first.id).state == "expired"

    def test_resume_goes_on_and_ends_the_window_before(self, store: Store) -> None:
        session = begun(store)
        fill(store, session, 1)
        again = store.resume(codes.grouped(session.code), now=30)
        assert (again.slot, again.consent_at, again.code) == (session.slot, 10, "")
        assert store.session(session.id).ended_at == 30
        assert store.trials(again.slot)[0].complete and not store.trials(again.slot)[2].complete

    def test_invented_codes_and_sessions(self, store: Store) -> None:
        for code in (codes.new_code(), "1234", "' OR 1=1 --", "", "9" * 10_000):
            with pytest.raises(Refused) as caught:
                store.resume(code, now=1)
            assert why(caught) is Why.UNKNOWN_CODE
        with pytest.raises(Refused) as caught:
            store.session("0" * 32)
        assert why(caught) is Why.NO_SESSION

    def test_invitations_are_spent_once(self, tmp_path: Path) -> None:
        with made(tmp_path / "invited.db", invitation=True) as store:
            (code,) = store.invite(1, now=1)
            for wrong, expected in ((None, Why.UNKNOWN_CODE), (codes.new_code(), Why.UNKNOWN_CODE)):
                with pytest.raises(Refused) as caught:
                    store.claim(now=2, invite=wrong)
                assert why(caught) is expected
            assert store.claim(now=3, invite=code).ordinal == 0
            with pytest.raises(Refused) as caught:
                store.claim(now=4, invite=code)
            assert why(caught) is Why.SPENT_INVITE

    def test_finishing_twice_is_finishing(self, store: Store) -> None:
        session = begun(store)
        store.finish(session.id, now=40)
        store.finish(session.id, now=50)
        assert [one["kind"] for one in store.events()].count("finish") == 1
        assert store.resume(session.code, now=60).state == "done"

    def test_no_consent_no_answer(self, store: Store) -> None:
        session = store.claim(now=1)
        with pytest.raises(Refused) as caught:
            store.rate(session.id, store.trials(session.slot)[0].id, "alignment", 3, str(uuid4()), now=2)
        assert why(caught) is Why.NO_CONSENT

    @pytest.mark.parametrize("device", ["Mozilla/5.0 (Linux; Android 15)", "PHONE"])
    def test_nothing_finer_than_a_class_of_device_is_kept(self, store: Store, device: str) -> None:
        with pytest.raises(Refused, match="device class"):
            store.consent(store.claim(now=1).id, "text", device, now=2)


class TestTaps:
    def test_a_replay_is_one_tap(self, store: Store) -> None:
        session = begun(store)
        trial, name = store.trials(session.slot)[0], str(uuid4())
        first = store.rate(session.id, trial.id, "alignment", 4, name, now=20, rt_ms=1500, shown_ms=1400)
        again = [store.rate(session.id, trial.id, "alignment", 4, name, now=21 + n) for n in range(3)]
        assert all(one.again and (one.rating, one.hash) == (first.rating, first.hash) for one in again)
        assert store.progress().ratings == 1
        store.finish(session.id, now=30)
        assert store.rate(session.id, trial.id, "alignment", 4, name, now=31).again, "its sender must stop sending"
        with pytest.raises(Refused) as caught:
            store.rate(session.id, trial.id, "alignment", 4, str(uuid4()), now=32)
        assert why(caught) is Why.DONE

    def test_a_name_used_for_another_answer(self, store: Store) -> None:
        session = begun(store)
        trial, name = store.trials(session.slot)[0], str(uuid4())
        store.rate(session.id, trial.id, "alignment", 4, name, now=20)
        with pytest.raises(Refused) as caught:
            store.rate(session.id, trial.id, "alignment", 5, name, now=21)
        assert why(caught) is Why.REUSED

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def test_taps_in_any_order_and_number_end_in_the_last_answer(self, tmp_path: Path, data: st.DataObject) -> None:
        with made(tmp_path / f"{uuid4().hex}.db", slots=1, prompts=1) as store:
            session = begun(store)
            trial = store.trials(session.slot)[0].id
            sent = [(criterion, value, str(uuid4()), rev) for criterion in CRITERIA for rev, value in enumerate((2, 5, 0), start=1)]
            arriving = data.draw(st.permutations(sent + data.draw(st.lists(st.sampled_from(sent), max_size=8))))
            for criterion, value, name, rev in arriving:
                store.rate(session.id, trial, criterion, value, name, now=20, rev=rev)
            answers = store.trials(session.slot)[0].answers
            assert {name: (one.value, one.rev) for name, one in answers.items()} == {"alignment": (0, 3), "reality": (0, 3)}
            assert store.progress().ratings == len(sent)
            assert sorted(store.ratings()["value"]) == [0, 0]
            assert store.verify_chain().ok

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"value": 6}, Why.VALUE),
            ({"value": -1}, Why.VALUE),
            ({"value": True}, Why.VALUE),
            ({"value": "4"}, Why.VALUE),
            ({"rev": 0}, Why.VALUE),
            ({"rev": 10**9}, Why.VALUE),
            ({"criterion": "suitability"}, Why.CRITERION),
            ({"criterion": 'alignment","reality'}, Why.CRITERION),
            ({"client_uuid": "x"}, Why.VALUE),
            ({"client_uuid": "'; DROP TABLE rating; --"}, Why.VALUE),
            ({"trial": 999}, Why.NOT_YOURS),
            ({"trial": 9}, Why.NOT_YOURS),
            ({"session_id": "nobody"}, Why.NO_SESSION),
        ],
    )
    def test_what_is_no_answer_is_refused_and_leaves_nothing(self, store: Store, change: dict[str, object], expected: Why) -> None:
        session = begun(store)
        tap = {"session_id": session.id, "trial": 1, "criterion": "alignment", "value": 3, "client_uuid": str(uuid4())} | change
        with pytest.raises(Refused) as caught:
            store.rate(**tap, now=20)  # type: ignore[arg-type]
        assert why(caught) is expected
        assert store.progress().ratings == 0

    @pytest.mark.parametrize("rt_ms", [-5, 10**12, 1.5, "soon"])
    def test_a_clock_that_jumped_costs_the_time_and_not_the_answer(self, store: Store, rt_ms: object) -> None:
        session = begun(store)
        store.rate(session.id, 1, "alignment", 3, str(uuid4()), now=20, rt_ms=rt_ms)  # type: ignore[arg-type]
        assert store.ratings()["rt_ms"] == [None]
        assert store.ratings()["value"] == [3]

    def test_comments(self, store: Store) -> None:
        session, name = begun(store), str(uuid4())
        text = "<script>alert('안녕')</script> \ud800\0끝"
        assert store.comment(session.id, 1, text, name, now=20)
        assert not store.comment(session.id, 1, text, name, now=21)
        assert [one["text"] for one in store.comments()] == ["<script>alert('안녕')</script> ?끝"]
        with pytest.raises(Refused) as caught:
            store.comment(session.id, 1, "가" * (MAX_COMMENT + 1), str(uuid4()), now=22)
        assert why(caught) is Why.TOO_LONG

    def test_an_answer_for_a_place_passed_on(self, store: Store) -> None:
        session = begun(store)
        assert store.expire(now=100 * HOUR, after_ms=72 * HOUR).slots == 1
        with pytest.raises(Refused) as caught:
            store.rate(session.id, 1, "alignment", 3, str(uuid4()), now=100 * HOUR)
        assert why(caught) is Why.EXPIRED


class TestRefills:
    def test_finished_prompts_stay_and_the_others_go_on_whole(self, tmp_path: Path) -> None:
        with made(tmp_path / "study.db", slots=2) as store:
            leaver, stayer = begun(store), begun(store, now=90 * HOUR)
            fill(store, leaver, 1)
            store.rate(leaver.id, store.trials(leaver.slot)[2].id, "alignment", 2, str(uuid4()), now=21)
            found = store.expire(now=100 * HOUR, after_ms=72 * HOUR)
            assert (found.slots, found.refills) == (1, 1)
            refill = store.claim(now=101 * HOUR)
            passed = store.trials(refill.slot)
            assert [one.prompt for one in passed if one.position == 1] == ["p1", "p2", "p3"], "the half-rated prompt goes on whole"
            assert [(one.prompt, one.stimulus, one.position) for one in passed] == [
                (one.prompt, one.stimulus, one.position) for one in store.trials(leaver.slot)[2:]
            ]
            assert not {one.picture for one in passed} & {one.picture for one in store.trials(leaver.slot)}
            assert store.expire(now=102 * HOUR, after_ms=72 * HOUR).refills == 0, "what was passed on is not passed on again"
            assert store.session(stayer.id).state == "claimed"

    def test_part_filled_places_wait_while_others_are_free(self, tmp_path: Path) -> None:
        with made(tmp_path / "study.db", slots=3) as store:
            leaver = begun(store)
            fill(store, leaver, 2)
            assert store.expire(now=100 * HOUR, after_ms=72 * HOUR).refills == 0
            assert [store.claim(now=101 * HOUR).ordinal for _ in range(3)] == [1, 2, 3], "the last is made when it is asked for"

    def test_a_withdrawn_rater_is_asked_anew_of_another(self, tmp_path: Path) -> None:
        with made(tmp_path / "study.db", slots=1) as store:
            session = begun(store)
            fill(store, session)
            store.finish(session.id, now=30)
            store.withdraw(session.code, now=40)
            assert len(store.trials(store.claim(now=50).slot)) == 8

    def test_the_seal_does_not_cover_refills(self, tmp_path: Path) -> None:
        with made(tmp_path / "study.db", slots=1) as store:
            sealed = store.plan_hash()
            begun(store)
            assert store.expire(now=100 * HOUR, after_ms=HOUR).refills == 1
            assert store.plan_hash() == sealed


class TestWithdrawal:
    def test_values_salts_and_words_are_gone_and_the_chain_holds(self, store: Store, tmp_path: Path) -> None:
        leaver, stayer = begun(store), begun(store)
        for session in (leaver, stayer):
            fill(store, session)
            store.comment(session.id, store.trials(session.slot)[0].id, f"말씀 {session.ordinal}", str(uuid4()), now=25)
            store.event(session.id, "exit", now=26, detail={"guess": f"짐작 {session.ordinal}"})
        before = store.verify_chain()
        erased = store.withdraw(codes.grouped(leaver.code), now=30)
        assert (erased.ordinal, erased.ratings, erased.comments) == (leaver.ordinal, 16, 1)
        after = store.verify_chain()
        assert after.ok and after.links == before.links + 1 and after.erased == 16 + 1 + 2
        assert set(store.ratings()["ordinal"]) == {stayer.ordinal}
        assert [one["text"] for one in store.comments()] == [f"말씀 {stayer.ordinal}"]
        assert store.withdraw(leaver.code, now=31).ratings == 0
        store.close()
        held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert f"말씀 {leaver.ordinal}".encode() not in held, "overwritten, not only forgotten"
        assert f"짐작 {leaver.ordinal}".encode() not in held
        assert f"말씀 {stayer.ordinal}".encode() in held

    def test_nothing_more_is_taken(self, store: Store) -> None:
        session = begun(store)
        store.withdraw(session.code, now=30)
        for refused in (
            lambda: store.rate(session.id, 1, "alignment", 3, str(uuid4()), now=31),
            lambda: store.comment(session.id, 1, "또", str(uuid4()), now=31),
            lambda: store.resume(session.code, now=31),
        ):
            with pytest.raises(Refused) as caught:
                refused()
            assert why(caught) is Why.WITHDRAWN


class TestTampering:
    """With the database's own tools, past everything that refuses."""

    @pytest.fixture
    def held(self, tmp_path: Path) -> Iterator[tuple[Store, sqlite3.Connection]]:
        with made(tmp_path / "study.db") as store:
            for session in (begun(store), begun(store)):
                fill(store, session, 2)
            raw = sqlite3.connect(tmp_path / "study.db")
            raw.execute("PRAGMA recursive_triggers = ON")
            yield store, raw
            raw.close()

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE rating SET value = 5 WHERE id = 1",
            "UPDATE rating SET value = NULL, salt = NULL, rt_ms = NULL, shown_ms = NULL WHERE id = 1",
            "DELETE FROM rating WHERE id = 1",
            "INSERT OR REPLACE INTO rating SELECT id, trial_id, criterion, 1, rt_ms, shown_ms, client_uuid, rev, created_at, salt FROM rating WHERE id = 1",
            "DELETE FROM event",
            "UPDATE event SET kind = 'x'",
            "UPDATE link SET hash = '0'",
            "DELETE FROM link",
        ],
    )
    def test_the_tables_refuse(self, held: tuple[Store, sqlite3.Connection], statement: str) -> None:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            held[1].execute(statement)

    @pytest.mark.parametrize(
        ("statement", "said"),
        [
            ("UPDATE rating SET value = 6 - value WHERE id = 3", "rating 3 was changed"),
            ("UPDATE rating SET rt_ms = 1 WHERE id = 3", "rating 3 was changed"),
            ("DELETE FROM rating WHERE id = 3", "rating 3 is gone"),
            ("UPDATE rating SET value = NULL, salt = NULL WHERE id = 3", "rating 3 was erased, and its rater has not withdrawn"),
            ("UPDATE slot SET state = 'withdrawn'; UPDATE rating SET value = NULL, salt = NULL WHERE id = 3", "has not withdrawn"),
            ("INSERT INTO rating SELECT 99, trial_id, criterion, 1, 1, 1, 'x', 9, 9, salt FROM rating WHERE id = 3", "rating 99 stands outside the chain"),
            ("DELETE FROM link WHERE seq = 5", "link 5 is missing"),
            ("UPDATE link SET commitment = hex(randomblob(32)) WHERE seq = 5", "link 5 does not follow"),
            ("UPDATE event SET detail = '{}' WHERE kind = 'consent'", "event 2 was changed"),
        ],
    )
    def test_the_chain_tells_what_was_done_past_them(self, held: tuple[Store, sqlite3.Connection], statement: str, said: str) -> None:
        store, raw = held
        assert store.verify_chain().ok
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.executescript(statement)
        found = store.verify_chain()
        assert not found.ok
        assert any(said in one for one in found.broken), found.broken

    def test_the_head_tells_what_was_cut_off_the_end(self, held: tuple[Store, sqlite3.Connection]) -> None:
        store, raw = held
        noted = store.verify_chain().head
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.executescript("DELETE FROM rating WHERE id = (SELECT MAX(id) FROM rating); DELETE FROM link WHERE seq = (SELECT MAX(seq) FROM link)")
        assert store.verify_chain().ok and store.verify_chain().head != noted


def test_what_the_tables_hold_says_nothing_about_a_rater(store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "study.db")) as raw:
        names = {name for (name,) in raw.execute("SELECT c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c")}
        strict = raw.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
    assert not names & {"ip", "address", "user_agent", "name_of_rater", "email", "condition", "model"}
    assert all(sql.rstrip().endswith("STRICT") for (sql,) in strict)


def test_no_database_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no such file"):
        open_store(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("no database, and long enough to be read as the header of one" * 20)
    with pytest.raises(StudyError, match="cannot be read as a study's database"), open_store(tmp_path / "text.db") as opened:
        opened.progress()
    made(tmp_path / "study.db").close()
    with pytest.raises(StudyError, match="never written over"):
        made(tmp_path / "study.db")


WRITER = """
import os, random, resource, signal, sys, time
from pathlib import Path
from uuid import uuid4
from kimchi.errors import OutputError
from kimchi.eval.study.store import open_store

path, session, trial, rounds, mode = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]

def write(told):
    with open_store(path) as store:
        while True:
            name = str(uuid4())
            try:
                store.rate(session, trial, "alignment", random.randint(1, 5), name, now=20)
            except OutputError:
                os.write(told, b"full\\n")
                os._exit(3)
            os.write(told, name.encode() + b"\\n")

def begin():
    if mode == "full":
        # Of a page more or less, so that every kind of half-written page is met.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = path.with_name(path.name + "-wal").stat().st_size if path.with_name(path.name + "-wal").exists() else 0
        limit = max(size, path.stat().st_size) + random.randint(1, 60_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

for number in range(rounds):
    random.seed(number)
    out, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        begin()
        try:
            write(told)
        finally:
            os._exit(1)
    os.close(told)
    heard = os.read(out, 64)
    if mode == "kill":
        time.sleep(random.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
    while more := os.read(out, 65536):
        heard += more
    os.close(out)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) if mode == "kill" else os.WEXITSTATUS(status) == 3, status
    sys.stdout.write(heard.decode())
"""


def _abused(tmp_path: Path, rounds: int, mode: str) -> tuple[Path, list[str]]:
    path = tmp_path / "study.db"
    with made(path) as store:
        session = begun(store)
        trial = store.trials(session.slot)[0].id
    command = [sys.executable, "-c", WRITER, str(path), session.id, str(trial), str(rounds), mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    # A process may die between two bytes of a name it tells; the tap is acknowledged when the whole of it is out.
    return path, [line for line in done.stdout.splitlines() if len(line) == 36]


def _stored(path: Path) -> list[str]:
    raw = sqlite3.connect(path)
    found = [name for (name,) in raw.execute("SELECT client_uuid FROM rating ORDER BY id")]
    assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    raw.close()
    return found


def test_fifty_kills_lose_no_acknowledged_tap(tmp_path: Path) -> None:
    path, told = _abused(tmp_path, 50, "kill")
    with open_store(path) as store:
        stored = _stored(path)
        assert len(told) >= 50 and set(told) <= set(stored)
        assert len(stored) == len(set(stored)) <= len(told) + 50, "at most the one under way is more than was told"
        assert store.verify_chain().ok


def test_a_full_disk_acknowledges_nothing_that_is_lost_and_does_not_last(tmp_path: Path) -> None:
    path, told = _abused(tmp_path, 12, "full")
    with open_store(path) as store:
        assert told and set(told) == set(_stored(path)), "what was refused is not there, what was told is"
        assert store.verify_chain().ok
        session = begun(store)
        assert not store.rate(session.id, store.trials(session.slot)[0].id, "alignment", 3, str(uuid4()), now=30).again


def test_two_processes_and_many_threads_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with made(path) as store, open_store(path) as other:
        sessions = [begun(store), begun(other)]

        def write(which: Store, session: Session) -> None:
            fill(which, session, 2)

        threads = [threading.Thread(target=write, args=(which, session)) for which in (store, other) for session in sessions for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        report = store.verify_chain()
        assert report.ok and store.progress().ratings == 8 * 8


def test_columns_are_of_one_length_and_json(store: Store) -> None:
    session = begun(store)
    fill(store, session)
    columns = store.ratings()
    assert {len(column) for column in columns.values()} == {16}
    assert json.loads(json.dumps(columns)) == columns
    progress = store.progress()
    assert (progress.raters[0].answered, progress.raters[0].asked) == (16, 16)
    assert [one["state"] for one in store.sessions()] == ["claimed"]


SEAMS: list[Callable[[Store], object]] = [Store.ratings, Store.comments, Store.events, Store.sessions, Store.stimuli, Store.progress, Store.verify_chain]


@pytest.mark.parametrize("read", SEAMS)
def test_a_study_nobody_has_come_to_can_be_read(store: Store, read: Callable[[Store], object]) -> None:
    assert read(store) is not None
