"""Admin passwords: their form, their slow hash, and the thread that computes it."""

import asyncio
import re
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service.errors import RequestError, ServerBusy

__all__ = [
    "LONGEST_PASSWORD",
    "LONGEST_USERNAME",
    "SHORT_PASSWORD",
    "PasswordThread",
    "check_password",
    "hash_password",
    "is_short",
    "matches",
    "new_password",
    "normalised",
]

# Characters. What is longer is refused before anything is computed from it.
LONGEST_USERNAME: Final = 100
LONGEST_PASSWORD: Final = 1024

# Under this many characters the service warns.
SHORT_PASSWORD: Final = 12

# 120 bits.
_MADE_BYTES: Final = 15

# Beyond it, who asks is told to come back: a flood must not make others wait for minutes.
_MOST_WAITING: Final = 16

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _hasher() -> PasswordHasher:
    # OWASP's parameters for argon2id with one lane: the library's own would take all cores away from the detector.
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def normalised(text: str) -> str:
    """One spelling for what can be typed in several: é is one character or two, depending on the keyboard."""
    return unicodedata.normalize("NFC", text)


def new_password() -> str:
    """A random one, of letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(_MADE_BYTES)


def is_short(password: str) -> bool:
    """Whether to warn of it."""
    return len(normalised(password)) < SHORT_PASSWORD


def check_password(password: str) -> None:
    """Refuse what no login could carry.

    Raises:
        RequestError: Empty, too long, or with control characters.
    """
    if not 1 <= len(password) <= LONGEST_PASSWORD or _CONTROL.search(password):
        raise RequestError(
            f"a password has 1 to {LONGEST_PASSWORD} characters, and no control characters among them"
        )


def hash_password(password: str) -> str:
    """The argon2id hash, with its salt and parameters. Slow: tens of milliseconds."""
    return _hasher().hash(normalised(password))


def matches(password_hash: str, password: str) -> bool:
    """Whether the hash is of this password. As slow as hashing, whatever the result."""
    try:
        return _hasher().verify(password_hash, normalised(password))
    except (VerificationError, InvalidHashError):
        return False


class PasswordThread:
    """One thread beside the event loop that compares passwords, one after the other, with a bounded queue."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="password")
        self._waiting = 0

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def make_room(self) -> None:
        """Ask before an attempt is counted.

        Raises:
            ServerBusy: Too many wait already.
        """
        if self._waiting >= _MOST_WAITING:
            raise ServerBusy("too many logins at once; retry after 1 second")

    async def matches(self, password_hash: str, password: str) -> bool:
        """As :func:`matches`, without holding up the event loop."""
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, matches, password_hash, password)
        finally:
            self._waiting -= 1
