"""A small labelled folder with drawn faces."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

__all__ = ["draw_face", "labelled_folder"]


def draw_face(image: np.ndarray, x: float, y: float, size: float) -> dict[str, Any]:
    """Draw a face with its upper left corner at (x, y); return its label."""
    centre = (round(x + size / 2), round(y + size / 2))
    cv2.ellipse(image, centre, (round(size * 0.5), round(size * 0.5)), 0, 0, 360, (150, 180, 220), -1)
    points = [(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.78), (0.65, 0.78)]
    landmarks = [(x + px * size, y + py * size) for px, py in points]
    for px, py in landmarks:
        cv2.circle(image, (round(px), round(py)), max(1, round(size * 0.06)), (30, 20, 20), -1)
    return {
        "bbox": [x, y, x + size, y + size],
        "landmarks": [value for point in landmarks for value in point],
        "score": 0.9,
        "sureness": 0.9,
    }


def labelled_folder(folder: Path, pictures: int = 8) -> Path:
    """Write ``pictures`` pictures, every fourth without a face, the last of a validation source."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(1)
    rows = []
    for index in range(pictures):
        image = np.full((120, 160, 3), int(rng.integers(0, 255)), np.uint8)
        faces = [] if index % 4 == 0 else [draw_face(image, 20, 30, 48), draw_face(image, 100, 60, 20)]
        cv2.imwrite(str(folder / "images" / f"{index}.png"), image)
        rows.append(
            {
                "file": f"{index}.png",
                "width": 160,
                "height": 120,
                "licence": "CC0-1.0",
                "source": "github.com/rladies/rladies.github.io/x"
                if index == pictures - 1
                else f"example/{index}",
                "url": "",
                "faces": faces,
                "ignore": [[130, 10, 150, 30]] if faces else [],
            }
        )
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder
