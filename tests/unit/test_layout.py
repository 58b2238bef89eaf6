"""The outputs of a detector are told by their shapes, whatever their order."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.detection.layout import OutputLayout, outputs_by_shape
from service.errors import ModelError

WIDTHS = {"scores": 1, "boxes": 4, "landmarks": 10}
Shape = tuple[int, ...]


def shapes(
    width: int = 64,
    height: int = 96,
    *,
    landmarks: bool = True,
    anchors: int = 2,
    levels: int = 3,
    dimensions: int = 2,
) -> dict[tuple[str, int], Shape]:
    """Shape of each output by its kind and level."""
    return {
        (kind, level): (1,) * (dimensions - 2)
        + ((width // (8 << level)) * (height // (8 << level)) * anchors, columns)
        for kind, columns in WIDTHS.items()
        for level in range(levels)
        if landmarks or kind != "landmarks"
    }


def told(items: list[Shape], width: int = 64, height: int = 96) -> OutputLayout:
    return outputs_by_shape([np.zeros(shape, np.float32) for shape in items], width, height)


def check(order: list[tuple[tuple[str, int], Shape]], layout: OutputLayout) -> None:
    for kind in WIDTHS:
        for level, index in enumerate(getattr(layout, kind)):
            assert order[index][0] == (kind, level)


def test_every_order_of_six_outputs() -> None:
    for order in permutations(shapes(landmarks=False).items()):
        layout = told([shape for _, shape in order])
        assert layout.strides == (8, 16, 32)
        assert layout.anchors == 2
        assert layout.landmarks == ()
        assert len(layout.scores) == len(layout.boxes) == 3
        check(list(order), layout)


@given(
    order=st.permutations(range(9)),
    anchors=st.integers(1, 3),
    dimensions=st.sampled_from([2, 3]),
    across=st.integers(1, 40),
    down=st.integers(1, 40),
)
def test_orders_of_nine_outputs(
    order: list[int], anchors: int, dimensions: int, across: int, down: int
) -> None:
    width, height = 32 * across, 32 * down
    items = list(shapes(width, height, anchors=anchors, dimensions=dimensions).items())
    shuffled = [items[index] for index in order]
    layout = told([shape for _, shape in shuffled], width, height)
    assert layout.anchors == anchors
    assert len(layout.scores) == len(layout.boxes) == len(layout.landmarks) == 3
    check(shuffled, layout)


@pytest.mark.parametrize("levels", [2, 4, 5])
def test_other_numbers_of_levels(levels: int) -> None:
    items = list(shapes(640, 384, levels=levels).items())
    assert told([shape for _, shape in items], 640, 384).strides == (8, 16, 32, 64, 128)[:levels]


COMPLETE = list(shapes().values())
FOREIGN: dict[str, list[Shape]] = {
    "nothing": [],
    "a classifier": [(1, 1000)],
    "an embedding": [(1, 128)],
    "a score": [(1, 1)],
    "scalars": [()] * 9,
    "vectors": [(96 * 2,)] * 9,
    "four dimensions": [(1, 2, 12, 8)] * 9,
    "a batch": [(2, *shape) for shape in COMPLETE],
    "one missing": COMPLETE[:-1],
    "one too many": [*COMPLETE, (24, 4)],
    "a stranger more": [*COMPLETE, (24, 3)],
    "scores only": COMPLETE[:3],
    "no boxes": COMPLETE[:3] + COMPLETE[6:],
    "another size": list(shapes(64, 128).values()),
    "no rows": [(0, columns) for columns in (1, 1, 1, 4, 4, 4, 10, 10, 10)],
    "half an anchor": [(shape[0] // 4, shape[1]) for shape in COMPLETE],
    "rows disagree": [*COMPLETE[:3], (191, 4), *COMPLETE[4:]],
    "two anchors, then three": [*COMPLETE[:1], (72, 1), *COMPLETE[2:]],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_outputs(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        told(FOREIGN[name])
    message = caught.value.detail
    assert message.startswith("not an SCRFD face detector: the outputs are ")
    assert "\n" not in message
    assert len(message) < 300
