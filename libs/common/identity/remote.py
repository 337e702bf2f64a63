"""Public keys of an issuer that publishes them under a URL. Open this file when its new key is not known here.

Only the URLs of ORDERMESH_JWKS_URLS are ever asked, whatever a token says of `jku` or `x5u`. A thread of its own reads
each of them now and then, and soon when a token names a key that is not known; requests never wait for it. A URL that
does not answer leaves the last keys in use.
"""

import threading
from collections.abc import Mapping
from functools import cache

import httpx
import structlog
from joserfc import errors as jose
from joserfc import jwk

from libs.common.identity.keys import public_keys

LOG = structlog.get_logger(__name__)
READ_AGAIN_SECONDS = 300.0
READ_SOON_SECONDS = 10.0
"""Least time between two readings, whatever tokens come."""
FETCH_SECONDS = 5.0
BYTES_MAX = 256 * 1024


class KeyUrl:
    """The keys under one URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: Mapping[str, jwk.Key] = {}
        self._text = ""
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self.generation = 0
        """Goes up whenever the keys have changed."""

    def find(self, kid: str) -> jwk.Key | None:
        """None for a key that is not known, or not yet: it is looked for soon."""
        key = self._keys.get(kid)
        if key is None:
            self._wanted.set()
        return key

    def read(self) -> None:
        """Asks the URL once."""
        try:
            text = _fetched(self._url)
            if text != self._text:
                self._keys = public_keys(text)
                self._text = text
                self.generation += 1
        except (httpx.HTTPError, ValueError, jose.JoseError) as error:
            LOG.warning("keys cannot be read", url=self._url, error=error)

    def keep_reading(self) -> None:
        """The thread's work, until `end` or the end of the process."""
        while True:
            self._wanted.wait(READ_AGAIN_SECONDS)
            self._wanted.clear()
            if self._ended.is_set():
                return
            self.read()
            self._ended.wait(READ_SOON_SECONDS)

    def end(self) -> None:
        """The keys stay, and are read no more."""
        self._ended.set()
        self._wanted.set()


@cache
def key_url(url: str) -> KeyUrl:
    """The one reader of a URL in this process, however many verifiers there are. The first reading blocks, for at most
    FETCH_SECONDS: a process without keys is of no use."""
    keys = KeyUrl(url)
    keys.read()
    threading.Thread(target=keys.keep_reading, name=f"keys of {url}", daemon=True).start()
    return keys


def _fetched(url: str) -> str:
    """The document. Redirects are not followed: they would lead past the list of allowed URLs."""
    with (
        httpx.Client(timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"status {answer.status_code}")
        content = b""
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > BYTES_MAX:
                raise ValueError(f"more than {BYTES_MAX} bytes")
    return content.decode()
