"""The sockets beneath httpx's requests and answers: connections of urllib3, because they take less of the processor.

The 500 answers of a million rows by REST (490 MB) took 0.5 s of a core by httpx's own client and sockets (httpcore and
h11), and take 0.28 s so; http.client by itself takes 0.12 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import httpx
import urllib3
from urllib3 import exceptions

PIECE = 1 << 18  # bytes of an answer that are handed on at a time
SHORT = 1 << 21  # an answer of so many bytes is handed on in one piece; a page of the REST API is one
HOSTS = 8  # the org, its login, and what else a call may name
CONNECTIONS = 64  # to each of them


class Sockets(httpx.BaseTransport):
    """What requests go through. Failures are httpx's own exceptions.

    ``direct`` ignores the proxies of the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY). Redirects are not followed and
    cookies not kept.
    """

    def __init__(self, *, direct: bool = False) -> None:
        self._direct = direct
        self._lock = Lock()
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request; its answer is read while it is iterated over."""
        seconds = request.extensions.get("timeout", {})
        with _translated():
            answer = self._pool(request.url).urlopen(
                request.method,
                str(request.url),
                body=request.stream if request.headers.get("content-length", "0") != "0" else None,
                headers=dict(request.headers.items()),
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=seconds.get("connect"), read=seconds.get("read")),
            )
        return httpx.Response(answer.status, headers=list(answer.headers.items()), stream=_Body(answer))

    def close(self) -> None:
        """Closes the connections that are not in use."""
        for pool in self._pools.values():
            pool.clear()

    def _pool(self, url: httpx.URL) -> urllib3.PoolManager:
        where = url.scheme, url.host
        if where not in self._pools:
            with self._lock:
                if where not in self._pools:
                    self._pools[where] = _pool(*where, direct=self._direct)
        return self._pools[where]


def _pool(scheme: str, host: str, *, direct: bool) -> urllib3.PoolManager:
    """The connections to a host, through the proxy that the environment names for it."""
    proxies = {} if direct or proxy_bypass(host) else getproxies()
    named = proxies.get(scheme) or proxies.get("all") or ""
    proxy = httpx.URL(named if "://" in named or not named else f"http://{named}")
    context = httpx.create_ssl_context() if "https" in (scheme, proxy.scheme) else None
    if not proxy.host:
        return urllib3.PoolManager(HOSTS, maxsize=CONNECTIONS, ssl_context=context)
    user = f"{unquote(proxy.username)}:{unquote(proxy.password)}" if proxy.username else None
    return urllib3.ProxyManager(
        str(proxy.copy_with(username="", password="")),
        HOSTS,
        proxy_headers=urllib3.make_headers(proxy_basic_auth=user),
        maxsize=CONNECTIONS,
        ssl_context=context,
    )


class _Body(httpx.SyncByteStream):
    """The bytes of an answer as they come."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        length = self._answer.length_remaining
        pieces = self._answer.stream(length if length and length <= SHORT else PIECE, decode_content=False)
        while True:
            with _translated():
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        self._answer.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Turns urllib3's exceptions into those of httpx. Their texts are left behind where they may quote a header."""
    try:
        yield
    except exceptions.ReadTimeoutError as problem:
        raise httpx.ReadTimeout("no answer in time") from problem
    except (exceptions.ProxyError, exceptions.ProxySchemeUnknown) as problem:
        raise httpx.ProxyError("the proxy refuses") from problem
    except (exceptions.NewConnectionError, exceptions.SSLError) as problem:
        raise httpx.ConnectError(str(problem.__cause__ or problem)) from problem
    except exceptions.ConnectTimeoutError as problem:
        raise httpx.ConnectTimeout("no connection in time") from problem
    except exceptions.LocationValueError as problem:
        raise httpx.UnsupportedProtocol("the address is none") from problem
    except (exceptions.HTTPError, OSError) as problem:
        raise httpx.RemoteProtocolError("the connection broke") from problem
    except ValueError as problem:  # http.client, of a header that it does not write
        raise httpx.LocalProtocolError("the request cannot be written") from problem
