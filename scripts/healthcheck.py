"""The container's health check: exit status 0 when ``/health`` answers 200, 1 otherwise.

Only the standard library, so that it starts fast; slim images have no curl.
"""

import os
import sys
import urllib.request

# Addresses that mean "all of them", and one of them to ask.
WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def health_url(environ: dict[str, str]) -> str:
    """The address of ``/health`` for the settings of the container.

    Args:
        environ: The environment.
    """
    host = environ.get("FACE_API_HOST", "").strip()
    host = WILDCARDS.get(host, host)
    port = environ.get("FACE_API_PORT", "").strip() or "8000"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/health"


def main() -> int:
    """Ask, and say why it failed: `docker inspect` and `podman inspect` show the line."""
    url = health_url(dict(os.environ))
    # HTTP_PROXY is not for our own address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=4) as answer:
            answer.read()
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
