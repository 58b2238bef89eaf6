"""OpenCV as a library of the whole process: its version and its threads."""

import cv2

__all__ = ["configure_opencv", "opencv_version"]


def configure_opencv() -> None:
    """Keep OpenCV on the calling thread and off the log.

    Requests run in parallel already, and a second pool of threads would fight the first; what OpenCV has to say of
    a picture is said by our own errors.
    """
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def opencv_version() -> str:
    """Version of OpenCV."""
    return str(cv2.__version__)
