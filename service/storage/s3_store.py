"""Objects in a bucket of S3, or of anything that speaks its protocol.

Every call ends in seconds, whatever the server does: connecting, waiting for an answer and all attempts together
are bounded. What is sent carries its SHA-256, so that a server that knows the header refuses what was damaged.
"""

import asyncio
import base64
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final, Self
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientError as ConnectionFailure
from botocore.exceptions import BotoCoreError, ClientError

from service.errors import SettingsError
from service.settings import Settings, variable_name
from service.storage.file_names import content_disposition
from service.storage.objects import Disposition, ObjectFacts, ObjectNotFound, StoreUnavailable, check_key

__all__ = ["S3Store", "deadline"]

_CONNECT_SECONDS: Final = 2.0
# Between two pieces of an answer.
_READ_SECONDS: Final = 4.0
_ATTEMPTS: Final = 3
# All attempts together, and what each MB adds.
_CALL_SECONDS: Final = 10.0
_SECONDS_PER_MB: Final = 0.25
# Each request stores two objects.
_MIN_CONNECTIONS: Final = 10
_MAX_CONNECTIONS: Final = 100
_PIECE_BYTES: Final = 262_144
# The most that S3 gives.
_KEYS_AT_ONCE: Final = 1000

_MISSING: Final = {"404", "NoSuchKey", "NotFound"}
_OWNED: Final = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}

logger = logging.getLogger(__name__)


def deadline(size: int) -> float:
    """Seconds after which a call that moves `size` bytes is given up."""
    return _CALL_SECONDS + _SECONDS_PER_MB * size / 1e6


class S3Store:
    """An :class:`ObjectStore` with one pool of connections."""

    def __init__(self, settings: Settings) -> None:
        """Check the settings; nothing is connected yet.

        Raises:
            SettingsError: An endpoint is no URL, or a key is missing.
        """
        _check_settings(settings)
        self._settings = settings
        self._bucket = settings.s3_bucket
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._presigner: Any = None
        # Digests of large pictures would hold up the event loop.
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="digests")

    async def __aenter__(self) -> Self:
        """Make the pool; nothing is connected yet."""
        self._client = await self._stack.enter_async_context(self._connection(self._settings.s3_endpoint))
        self._client.meta.events.register("before-sign.s3.PutObject", _without_expect)
        public = self._settings.s3_public_endpoint
        # It only signs.
        self._presigner = (
            await self._stack.enter_async_context(self._connection(public)) if public else self._client
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """The same as :meth:`aclose`."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        self._client = self._presigner = None
        await self._stack.aclose()
        self._hashing.shutdown(wait=False)

    async def check(self) -> None:
        """Whether the bucket is there and ours, making it where it is missing.

        Raises:
            StoreUnavailable: Not so; the message names what the operator can mend.
        """
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await self._check()
        except TimeoutError:
            raise StoreUnavailable("the S3 endpoint does not answer in time") from None
        except ClientError as error:
            raise StoreUnavailable(f"S3 bucket {self._bucket}: {_reason(error)}") from error
        except (BotoCoreError, ConnectionFailure, OSError) as error:
            raise StoreUnavailable(f"the S3 endpoint cannot be reached ({type(error).__name__})") from error

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object whole."""
        check_key(key)
        digest = await asyncio.get_running_loop().run_in_executor(self._hashing, hashlib.sha256, data)
        checksum = base64.b64encode(digest.digest()).decode()
        async with self._call(deadline(len(data))) as client:
            put = partial(
                client.put_object,
                Bucket=self._bucket,
                Key=key,
                Body=data,
                ContentType=content_type,
                ChecksumSHA256=checksum,
            )
            try:
                await put()
            except ClientError as error:
                if _code(error) != "NoSuchBucket":
                    raise
                await self._check()
                await put()

    async def get(self, key: str) -> bytes:
        """The bytes of an object."""
        async with self._call(_CALL_SECONDS) as client:
            facts = await client.head_object(Bucket=self._bucket, Key=check_key(key))
        async with self._call(deadline(facts["ContentLength"])) as client:
            for last in (False, True):
                answer = await client.get_object(Bucket=self._bucket, Key=key)
                try:
                    async with answer["Body"] as body:
                        return bytes(await body.read())
                except (BotoCoreError, ConnectionFailure, OSError):
                    # botocore tries again until the answer begins, not once it was cut.
                    if last:
                        raise
        raise AssertionError("unreachable")

    async def facts(self, key: str) -> ObjectFacts:
        """Size and validator of an object."""
        async with self._call(_CALL_SECONDS) as client:
            answer = await client.head_object(Bucket=self._bucket, Key=check_key(key))
            return ObjectFacts(answer["ContentLength"], answer["ETag"])

    async def open_range(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Bytes `start` to `stop` (exclusive; None: the end) in pieces."""
        check_key(key)
        if stop is not None and stop <= start:
            await self.facts(key)
            return _nothing()
        span = f"bytes={start}-{'' if stop is None else stop - 1}"
        async with self._call(_CALL_SECONDS) as client:
            wanted = {} if span == "bytes=0-" else {"Range": span}
            try:
                answer = await client.get_object(Bucket=self._bucket, Key=key, **wanted)
            except ClientError as error:
                if _code(error) in {"InvalidRange", "416"}:
                    return _nothing()
                raise
        return self._pieces(answer["Body"])

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        try:
            await self.facts(key)
        except ObjectNotFound:
            return False
        return True

    async def delete(self, key: str) -> None:
        """Delete an object; one that is missing is fine."""
        try:
            async with self._call(_CALL_SECONDS) as client:
                await client.delete_object(Bucket=self._bucket, Key=check_key(key))
        except ObjectNotFound:
            pass

    async def iter_keys(self, prefix: str = "") -> AsyncIterator[str]:
        """All keys that begin with a prefix, in no order."""
        more: dict[str, str] = {}
        while True:
            async with self._call(_CALL_SECONDS) as client:
                answer = await client.list_objects_v2(
                    Bucket=self._bucket, Prefix=prefix, MaxKeys=_KEYS_AT_ONCE, **more
                )
            for item in answer.get("Contents", []):
                yield item["Key"]
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    async def url(
        self,
        key: str,
        *,
        filename: str,
        content_type: str,
        expires: int,
        disposition: Disposition = "attachment",
    ) -> str:
        """A presigned URL at the public endpoint, or at the endpoint itself where no other is set."""
        if self._presigner is None:
            raise StoreUnavailable("the object store is not open")
        url = await self._presigner.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": check_key(key),
                "ResponseContentDisposition": content_disposition(filename, disposition),
                "ResponseContentType": content_type,
            },
            ExpiresIn=expires,
        )
        return str(url)

    def _connection(self, endpoint: str) -> Any:
        connections = min(max(2 * self._settings.max_concurrent_requests, _MIN_CONNECTIONS), _MAX_CONNECTIONS)
        return get_session().create_client(
            "s3",
            endpoint_url=endpoint.rstrip("/") or None,
            region_name=self._settings.s3_region,
            aws_access_key_id=self._settings.s3_access_key,
            aws_secret_access_key=self._settings.s3_secret_key,
            config=AioConfig(
                signature_version="s3v4",
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                max_pool_connections=connections,
                # Other servers do not know the checksums that botocore adds by itself. Ours is a signed header, so that
                # the body need not be signed as well.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path", "payload_signing_enabled": False},
            ),
        )

    async def _check(self) -> None:
        client = self._open_client()
        try:
            await client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _code(error) not in {"404", "NoSuchBucket"}:
                raise
        else:
            return
        region = self._settings.s3_region
        # The oldest region is the default, and must not be named.
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            await client.create_bucket(Bucket=self._bucket, **place)
        except ClientError as error:
            # Another process was quicker; if it was another account, the next call is refused.
            if _code(error) not in _OWNED:
                raise
        else:
            logger.info("S3 bucket %s made", self._bucket)

    def _open_client(self) -> Any:
        if self._client is None:
            raise StoreUnavailable("the object store is not open")
        return self._client

    @asynccontextmanager
    async def _call(self, seconds: float) -> AsyncIterator[Any]:
        with _translated():
            async with asyncio.timeout(seconds):
                yield self._open_client()

    async def _pieces(self, body: Any) -> AsyncIterator[bytes]:
        with _translated():
            async with body:
                while piece := await body.read(_PIECE_BYTES):
                    yield piece


def _without_expect(request: Any, **_: Any) -> None:
    # It costs a round trip, and aiohttp waits for "100 Continue" without a limit.
    del request.headers["Expect"]


async def _nothing() -> AsyncIterator[bytes]:
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if _code(error) in _MISSING:
            raise ObjectNotFound("the stored file is not there") from None
        logger.warning("S3: %s", _reason(error))
        raise StoreUnavailable("the file store refused; try again in a moment") from error
    except (BotoCoreError, ConnectionFailure, TimeoutError, OSError) as error:
        logger.warning("S3: %s", f"{type(error).__name__}: {error}"[:300])
        raise StoreUnavailable("the file store cannot be reached; try again in a moment") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _reason(error: ClientError) -> str:
    """The server's code and words, without what it echoes of the request."""
    details = error.response.get("Error", {})
    return f"{error.operation_name} failed: {details.get('Code', '?')} {details.get('Message', '')}"[
        :300
    ].rstrip()


def _check_settings(settings: Settings) -> None:
    for field in ("s3_endpoint", "s3_public_endpoint"):
        value: str = getattr(settings, field) or ""
        try:
            parts = urlsplit(value)
            usable = parts.port != 0 and parts.hostname and parts.scheme in {"http", "https"}
            usable = usable and not (parts.username or parts.query or parts.fragment)
        except ValueError:
            usable = False
        if value and not usable:
            # The value may carry a password.
            raise SettingsError(
                f"{variable_name(field)}: expected a URL such as https://s3.example.org or http://s3:9000"
            )
    for field in ("s3_access_key", "s3_secret_key"):
        if not getattr(settings, field):
            raise SettingsError(
                f"{variable_name(field)} is not set: S3 needs {variable_name('s3_access_key')} and "
                f"{variable_name('s3_secret_key')} (and {variable_name('s3_endpoint')}, unless it is Amazon's)"
            )
