"""Outcomes of trials on disk, and the lock."""

import threading
import time
from pathlib import Path

import pytest

from service.detection.execution import Execution, Trial
from service.detection.trial_store import TrialStore, cpu_identity

FACTS = {"model": "aa", "cpu": "some"}
OUTCOME = Execution(
    provider="openvino",
    precision="bf16",
    reason="fast",
    trials=(Trial(provider="cpu", precision="f32", ms=1.5, agrees=None, note=""),),
)


def test_what_is_saved_is_loaded_for_the_same_facts_alone(tmp_path: Path) -> None:
    store = TrialStore(tmp_path / "new" / "cache")
    assert store.load(FACTS) is None
    store.save(FACTS, OUTCOME)
    assert store.load(dict(reversed(FACTS.items()))) == OUTCOME
    assert store.load(FACTS | {"cpu": "another"}) is None
    assert len(list((tmp_path / "new" / "cache").iterdir())) == 1


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b'{"facts": {}, "execution": 1}', b"null"]
)
def test_a_damaged_file_is_no_outcome_and_is_replaced(content: bytes, tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    store.save(FACTS, OUTCOME)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert store.load(FACTS) is None
    store.save(FACTS, OUTCOME)
    assert store.load(FACTS) == OUTCOME


def test_an_outcome_under_other_facts_is_none(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    store.save(FACTS, OUTCOME)
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text().replace('"some"', '"other"'))
    assert store.load(FACTS) is None


@pytest.mark.parametrize("kind", ["none", "file in the way"])
def test_without_a_folder_nothing_is_kept_and_nothing_fails(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = TrialStore(None if kind == "none" else tmp_path / "file" / "cache")
    store.save(FACTS, OUTCOME)
    assert store.load(FACTS) is None
    with store.only_one():
        pass


def test_one_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        # A store each, as in processes of their own: the lock belongs to the open file.
        with TrialStore(tmp_path).only_one():
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.02)
            inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_the_cpu_is_told_the_same_way_each_time() -> None:
    assert cpu_identity() == cpu_identity() != ""
