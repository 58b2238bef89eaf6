"""Write the credits that CC-BY asks for: ``python -m training.credits FOLDER FILE``."""

import argparse
from itertools import groupby
from pathlib import Path

from training.labels import Picture, read_labels, split

__all__ = ["credits_of", "main"]

_NAMES = {
    "CC-BY": "Creative Commons Attribution (version not stated by the source)",
    "CC-BY-2.0": "Creative Commons Attribution 2.0",
    "CC-BY-4.0": "Creative Commons Attribution 4.0",
    "CC0-1.0": "CC0 1.0, public domain",
    "no-known-restrictions": "no known copyright restrictions",
}


def credits_of(pictures: list[Picture]) -> str:
    """Return the credits as Markdown: by repository and licence, each picture with its photographer's page if known.

    Raises:
        ValueError: a picture has a licence that is not known here.
    """
    text = [
        "# Credits",
        "",
        "The model scrfd_free began with the weights of YuNet-n (Wu, Peng and Yu: libfacedetection.train,",
        "Apache License 2.0). They were adapted and changed by training. YuNet-n also labelled the photographs,",
        "together with CenterFace (Xu and others, MIT License), of which nothing is in the model.",
        "",
        f"It was trained on {len(pictures)} photographs. They were reduced, cut, turned, mixed and recoloured for",
        "training; none of them is part of this package.",
    ]
    for (repository, licence), group in groupby(sorted(pictures, key=_key), key=lambda p: _key(p)[:2]):
        if licence not in _NAMES:
            raise ValueError(f"licence {licence!r} of {repository}: not one of {', '.join(_NAMES)}")
        members = list(group)
        text += ["", f"## {repository}", "", f"{len(members)} pictures, {_NAMES[licence]}.", ""]
        text += [
            f"- {p.source.removeprefix(repository).lstrip('/')}{f' <{p.url}>' if p.url else ''}"
            for p in members
        ]
    return "\n".join(text) + "\n"


def _key(picture: Picture) -> tuple[str, str, str]:
    return "/".join(picture.source.split("/")[:3]), picture.licence, picture.source


def main(arguments: list[str] | None = None) -> None:
    """Write the credits of the training pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="labels.jsonl and images/")
    parser.add_argument("file", type=Path, help="the Markdown file to write")
    options = parser.parse_args(arguments)
    training, _ = split(read_labels(options.folder))
    options.file.write_text(credits_of(training), encoding="utf-8")
    print(f"{options.file}: {len(training)} pictures")


if __name__ == "__main__":
    main()
