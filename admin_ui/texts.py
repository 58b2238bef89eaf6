"""Texts that the scripts show. They travel in an attribute of the page, in the page's language."""

from typing import Final

__all__ = ["SCRIPT_TEXTS", "STEPS"]

# Steps of a request, as the API names them.
STEPS: Final = ("decode", "preprocess", "inference", "postprocess", "mask", "encode", "storage", "total")

SCRIPT_TEXTS: Final[dict[str, str]] = {
    "offline": "The service cannot be reached. Is it running?",
    "online": "The service answers again.",
    "copied": "Copied",
    "copy_failed": "The browser does not allow copying here; select the text and copy it.",
    "dismiss": "Dismiss",
    "undo": "Undo",
    "lost": "The file is lost",
    "removed": "“{name}” will be deleted.",
    "wrong_login": "Wrong user name or password.",
    "locked": "Too many failed attempts. Try again in {time}.",
    "unlocked": "You can try again now.",
    "too_many": "Too many requests. Try again in {time}.",
    "minutes": "{minutes} min {seconds} s",
    "seconds": "{seconds} s",
    "no_faces": "No face was found.",
    "one_face": "1 face",
    "faces": "{count} faces",
    "not_a_picture": "That is not a picture.",
    **{f"step_{step}": step for step in STEPS},
    "deleted_all": "Deleted: {deleted}. Nothing is left.",
    "deleted_some": "Deleted: {deleted}. Still to do: {remaining}.",
    "deleted_already": "The service has deleted it by itself.",
    "still_failing": "{failed} could not be deleted: {reason}",
}
