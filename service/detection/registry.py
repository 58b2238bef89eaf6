"""The models that the service knows: names, files, sources, licences; and which file a name means."""

from pathlib import Path
from typing import Final

import msgspec

from service.errors import ModelError
from service.ranges import nearest, shorten

__all__ = [
    "BUNDLED_DIR",
    "REGISTRY",
    "ModelArchive",
    "ModelEntry",
    "ModelFile",
    "find_model",
    "own_files",
    "resolve_model",
]

BUNDLED_DIR: Final = Path(__file__).parent / "bundled"


class ModelArchive(msgspec.Struct, frozen=True, kw_only=True):
    """The official archive that holds a model.

    Attributes:
        file_name: Name of the archive; FACE_API_MODEL_URL_BASE says where it lies.
        size_bytes: Its size, for telling how much there is to download.
        member: Name of the model's file in it.
    """

    file_name: str
    size_bytes: int
    member: str


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One known model.

    Attributes:
        name: Name in the registry and in every answer.
        file_names: Names under which the file circulates, ours first.
        summary: What it is, in one line.
        licence: Licence of the weights, in a few words.
        licence_text: What the licence means, in a sentence or two.
        commercial_use: Whether the licence allows it.
        source: Where it officially comes from.
        input: The tensor that it takes.
        speed: Speed class, and how it compares with the bundled model.
        sha256: Digests that we know, that of the official file first; then copies in circulation, which differ
            from it in metadata only.
        size_bytes: Size of the file with the first digest.
        archive: Where the file can be pulled from; None if it cannot.
        bundled: Whether it comes with the service.
    """

    name: str
    file_names: tuple[str, ...]
    summary: str
    licence: str
    licence_text: str
    commercial_use: bool
    source: str
    input: str
    speed: str
    sha256: tuple[str, ...]
    size_bytes: int
    archive: ModelArchive | None = None
    bundled: bool = False


class ModelFile(msgspec.Struct, frozen=True):
    """A model that was found.

    Attributes:
        name: What answers call it.
        path: The file.
        entry: Its registry entry, None for a file of the user's own.
    """

    name: str
    path: Path
    entry: ModelEntry | None


_INSIGHTFACE_LICENCE: Final = "non-commercial research only"
_INSIGHTFACE_LICENCE_TEXT: Final = (
    "InsightFace gives its models, and the data that they were trained on, for non-commercial research only. "
    "Other use needs a licence from InsightFace: https://github.com/deepinsight/insightface#license"
)
_INSIGHTFACE_SOURCE: Final = "InsightFace, release v0.7 on GitHub, in {}"

REGISTRY: Final[dict[str, ModelEntry]] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="scrfd_free",
            file_names=("scrfd_free.onnx",),
            summary="YuNet-n enlarged and trained further: 0.18 M parameters, five landmarks, free input size",
            licence="Apache-2.0",
            licence_text="Free to use, also commercially. Begun with YuNet-n (Apache-2.0); CC0 and CC-BY photographs.",
            commercial_use=True,
            source="comes with the service",
            input="1×3×H×W float32, RGB, H and W free multiples of 32",
            speed="fastest",
            sha256=("60d1eb0bcbf85b675cfbcaf4dc10f282af49ef609aa6b0dd2f61b851634b960b",),
            size_bytes=774_815,
            bundled=True,
        ),
        ModelEntry(
            name="scrfd_10g",
            file_names=("scrfd_10g.onnx", "det_10g.onnx", "scrfd_10g_bnkps.onnx"),
            summary="SCRFD-10G with five landmarks: the most accurate, much CPU",
            licence=_INSIGHTFACE_LICENCE,
            licence_text=_INSIGHTFACE_LICENCE_TEXT,
            commercial_use=False,
            source=_INSIGHTFACE_SOURCE.format("buffalo_l.zip"),
            input="1×3×H×W float32, RGB, H and W free multiples of 32",
            speed="slow (10 GFLOPs at 640×480)",
            sha256=(
                "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
                "46705b9258c7d965ea0ddcf86f3332fd15393ac80643f7b9f80e964200797b7d",
            ),
            size_bytes=16_923_827,
            archive=ModelArchive(file_name="buffalo_l.zip", size_bytes=288_621_354, member="det_10g.onnx"),
        ),
        ModelEntry(
            name="scrfd_2.5g",
            file_names=("scrfd_2.5g.onnx", "det_2.5g.onnx", "scrfd_2.5g_bnkps.onnx"),
            summary="SCRFD-2.5G with five landmarks: balanced",
            licence=_INSIGHTFACE_LICENCE,
            licence_text=_INSIGHTFACE_LICENCE_TEXT,
            commercial_use=False,
            source=_INSIGHTFACE_SOURCE.format("buffalo_m.zip"),
            input="1×3×H×W float32, RGB, H and W free multiples of 32",
            speed="medium (2.5 GFLOPs at 640×480)",
            sha256=(
                "041f73f47371333d1d17a6fee6c8ab4e6aecabefe398ff32cca4e2d5eaee0af9",
                "bc24bb349491481c3ca793cf89306723162c280cb284c5a5e49df3760bf5c2ce",
            ),
            size_bytes=3_292_009,
            archive=ModelArchive(file_name="buffalo_m.zip", size_bytes=275_951_529, member="det_2.5g.onnx"),
        ),
        ModelEntry(
            name="scrfd_500m",
            file_names=("scrfd_500m.onnx", "det_500m.onnx", "scrfd_500m_bnkps.onnx"),
            summary="SCRFD-500M with five landmarks: the smallest and fastest of its family",
            licence=_INSIGHTFACE_LICENCE,
            licence_text=_INSIGHTFACE_LICENCE_TEXT,
            commercial_use=False,
            # The same file as in buffalo_s.zip, in an eighth of the download.
            source=_INSIGHTFACE_SOURCE.format("buffalo_sc.zip (also in buffalo_s.zip)"),
            input="1×3×H×W float32, RGB; the official file takes any size, some copies only 640×640",
            speed="fast (0.5 GFLOPs at 640×480)",
            sha256=(
                "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a",
                "517cb1980c72422e676738fc45431700fb7cbee56d0f825b623ee427b3e5ce58",
            ),
            size_bytes=2_524_817,
            archive=ModelArchive(file_name="buffalo_sc.zip", size_bytes=14_969_382, member="det_500m.onnx"),
        ),
    )
}


def find_model(entry: ModelEntry, model_dir: Path) -> Path | None:
    """The file of a known model: the bundled one, or the first of its names in `model_dir`; None if there is none."""
    folder = BUNDLED_DIR if entry.bundled else model_dir
    return next((path for name in entry.file_names if (path := folder / name).is_file()), None)


def own_files(model_dir: Path) -> list[Path]:
    """The .onnx files in `model_dir` that go by no known model's name."""
    known = {name for entry in REGISTRY.values() for name in entry.file_names}
    return sorted(path for path in model_dir.glob("*.onnx") if path.name not in known and path.is_file())


def resolve_model(name: str, model_dir: Path) -> ModelFile:
    """Find the file that FACE_API_MODEL means.

    Args:
        name: A registry name, or the name of a file in `model_dir`, with or without ``.onnx``.
        model_dir: FACE_API_MODEL_DIR.

    Raises:
        ModelError: No such file; the message says what to do.
    """
    if (entry := REGISTRY.get(name)) is not None:
        if (path := find_model(entry, model_dir)) is not None:
            return ModelFile(name=name, path=path, entry=entry)
        remedy = "run `face-api models pull " + name + "`, or put" if entry.archive else "put"
        raise ModelError(
            f"FACE_API_MODEL={name}: none of {', '.join(entry.file_names)} is in {model_dir} (FACE_API_MODEL_DIR); "
            f"{remedy} the file there (source: {entry.source}; licence: {entry.licence})"
        )
    for candidate in (model_dir / name, model_dir / f"{name}.onnx"):
        if _is_file_inside(candidate, model_dir):
            return ModelFile(name=candidate.stem, path=candidate, entry=_entry_of(candidate.name))
    known = [*REGISTRY, *sorted(path.name for path in model_dir.glob("*.onnx"))]
    guess = nearest(name, known)
    raise ModelError(
        f"FACE_API_MODEL={shorten(name)}: neither a known model ({', '.join(REGISTRY)}) nor a file in {model_dir}"
        + (f"; did you mean {guess}?" if guess else "")
    )


def _is_file_inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, RuntimeError):  # a name that is too long for the file system, a loop of links
        return False


def _entry_of(file_name: str) -> ModelEntry | None:
    return next((entry for entry in REGISTRY.values() if file_name in entry.file_names), None)
