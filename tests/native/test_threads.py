"""The kernels run without the interpreter lock, and keep nothing between calls."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from native import kernels
from tests.native.support import texture


def work(name: str) -> Callable[[], object]:
    """A call that takes some tens of milliseconds."""
    if name == "decode_detections":
        columns = 120
        anchors = np.random.default_rng(0).uniform(0.2, 0.9, (columns * columns * 2, 1)).astype(np.float32)
        boxes = np.full((len(anchors), 4), 0.4, np.float32)

        def decode() -> object:
            return kernels.decode_detections(
                [anchors],
                [boxes],
                None,
                [8],
                2,
                8 * columns,
                score_threshold=0.1,
                nms_threshold=1.0,
                scale=1.0,
                width=960,
                height=960,
            )

        return decode
    if name == "letterbox":
        picture, tensor = texture(500, 500), np.empty((3, 2000, 2000), np.float32)
        return lambda: kernels.letterbox(picture, tensor, 2000, 2000, 127.5, 1 / 128)
    image = np.zeros((2000, 5000, 4), np.uint8)
    strength = () if name == "solid" else (31,)
    mask: Callable[..., None] = getattr(kernels, name)
    return lambda: mask(image, 0, 0, 5000, 2000, *strength)


def longest_wait(call: Callable[[], object]) -> float:
    """Longest time that this thread stood still while another ran the call, as a share of the call's time."""
    span: list[float] = []

    def timed() -> None:
        start = time.perf_counter()
        call()
        span.extend((start, time.perf_counter()))

    thread = threading.Thread(target=timed)
    ticks = [time.perf_counter()]
    thread.start()
    while thread.is_alive():
        time.sleep(0.0005)
        ticks.append(time.perf_counter())
    thread.join()
    start, end = span
    inner = [min(max(tick, start), end) for tick in ticks]
    return max(b - a for a, b in pairwise(inner)) / (end - start)


@pytest.mark.alone
@pytest.mark.parametrize(
    "name", ["decode_detections", "letterbox", "solid", "pixelate", "gaussian", "ellipse"]
)
def test_other_threads_run_meanwhile(name: str) -> None:
    call = work(name)
    call()
    # Under the lock the wait is the whole call. A busy machine may stop us for other reasons, hence several tries.
    assert any(longest_wait(call) < 0.6 for _ in range(6))


def test_many_threads_at_once_give_what_one_gives() -> None:
    def run(seed: int) -> bytes:
        picture = texture(150, 170, seed)
        kernels.gaussian(picture, 5, 5, 140, 120, 3 + 8 * seed)
        kernels.ellipse(picture, 20, 30, 165, 149, 99)
        kernels.pixelate(picture, 0, 0, 30, 30, 7)
        tensor = np.empty((3, 96, 96), np.float32)
        kernels.letterbox(picture, tensor, 96, 85, 127.5, 1 / 128)
        return picture.tobytes() + tensor.tobytes()

    alone = [run(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(run, range(8))) == alone
