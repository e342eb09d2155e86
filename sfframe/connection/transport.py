"""HTTP: sends a Call, repeats what may be repeated, and gives protocol's own answers back, without a type of httpx."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from email.utils import parsedate_to_datetime
from itertools import count
from pathlib import Path
from threading import Event, Lock
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import httpx

from sfframe.backoff import TRANSIENT_CODES, TRANSIENT_STATUS, Backoff
from sfframe.connection.sockets import Sockets
from sfframe.errors import Cancelled, ConnectionFailed, UsageError
from sfframe.protocol.call import Call, Reply, Streamed
from sfframe.protocol.error_body import read_problem

CHUNK = (
    1 << 18
)  # an upload in pieces of up to 1 MB is ten times as fast as one of a single bytes object (measured.md 9)
ERROR_BODY = 1 << 16  # no error answer says more than this
LONGEST_RETRY_AFTER = 300.0  # seconds; an org that asks for more is down, and the caller shall hear of it

# Salesforce ends a query after 2 minutes and may be silent until then (bulk2.md 5).
TIMEOUT = httpx.Timeout(connect=20.0, read=180.0, write=60.0, pool=None)

_BASE_HEADERS: Mapping[str, str] = {"accept": "*/*", "accept-encoding": "gzip", "user-agent": "sfframe"}
_BEGIN_AGAIN = "Begin again when you like; a load that had begun goes on with sfframe.resume."
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)

Answer = TypeVar("Answer", Reply, "Streamed | Reply")


class Wait(Protocol):
    """How to wait between two tries."""

    def __call__(self, seconds: float, cancel: Event | None) -> None:
        """Waits that many seconds, or until the event is set."""
        ...


def sleep(seconds: float, cancel: Event | None) -> None:
    """The real waiting."""
    if cancel is None:
        time.sleep(seconds)
    else:
        cancel.wait(seconds)


class Transport:
    """One pool of connections. Safe to use from several threads at once.

    ``direct`` ignores the proxies of the environment, as for an org on this machine. ``wait`` and ``jitter`` are the
    only clock and the only chance in here; ``http`` replaces the sockets.
    """

    def __init__(
        self,
        *,
        backoff: Backoff | None = None,
        wait: Wait = sleep,
        jitter: Callable[[], float] = random.random,
        direct: bool = False,
        timeout: httpx.Timeout = TIMEOUT,
        http: httpx.BaseTransport | None = None,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._wait = wait
        self._jitter = jitter
        self._lock = Lock()
        self._requests = 0
        self._timeout = timeout.as_dict()
        self._http = http or Sockets(direct=direct)
        self._closed = False

    @property
    def requests(self) -> int:
        """How many requests went out, repeated ones included."""
        return self._requests

    def send(self, call: Call[object], url: str, headers: Mapping[str, str], *, cancel: Event | None = None) -> Reply:
        """The whole answer, whatever its status; raises ``ConnectionFailed`` when there is none."""

        def once() -> Reply:
            with self._exchange(call, url, headers, cancel) as got:
                return _whole(got)

        return self._repeated(call, once, cancel)

    @contextmanager
    def stream(
        self, call: Call[object], url: str, headers: Mapping[str, str], *, cancel: Event | None = None
    ) -> Iterator[Streamed]:
        """The answer while it comes. Only its beginning is repeated: a body that breaks off raises as it is read."""
        with ExitStack() as stack:

            def once() -> Streamed | Reply:
                got = stack.enter_context(self._exchange(call, url, headers, cancel))
                if call.accepts_status(got.status):
                    return got
                reply = _whole(got, ERROR_BODY)
                stack.close()
                return reply

            answer = self._repeated(call, once, cancel)
            if isinstance(answer, Reply):
                answer = Streamed(answer.status, answer.headers, iter([answer.body]))
            yield answer

    def close(self) -> None:
        """Closes the connections; a request that is still under way fails."""
        self._closed = True
        self._http.close()

    def _repeated(self, call: Call[object], once: Callable[[], Answer], cancel: Event | None) -> Answer:
        for attempt in count(1):
            if cancel is not None and cancel.is_set():
                raise Cancelled("cancelled", where=call.where, remedy=_BEGIN_AGAIN, job_id=call.job_id)
            answer: Answer | None = None
            failure: ConnectionFailed | None = None
            try:
                answer = once()
            except ConnectionFailed as problem:
                failure = problem
                again, asked = call.repeatable or not problem.sent, None
            else:
                again, asked = call.repeatable and _is_transient(answer), _retry_after(answer.headers)
            pause = None
            if again and (asked is None or asked <= LONGEST_RETRY_AFTER):
                pause = self._backoff.wait(attempt, jitter=self._jitter(), retry_after=asked)
            if pause is None:
                if answer is None:
                    raise failure or AssertionError
                return answer
            self._wait(pause, cancel)
        raise AssertionError

    @contextmanager
    def _exchange(
        self, call: Call[object], url: str, headers: Mapping[str, str], cancel: Event | None
    ) -> Iterator[Streamed]:
        """One request and its answer; every failure of the network comes out as ``ConnectionFailed``."""
        with self._lock:
            if self._closed:
                raise UsageError("This connection is closed.", where=call.where, remedy="Connect again.")
            self._requests += 1
        names = {**_BASE_HEADERS, **call.headers, **_length_of(call.body), **headers}
        if not all(value.isascii() and value.isprintable() for value in names.values()):
            # found here, because httpcore would write the header with its token to the debug log
            raise UsageError("A header has letters that it cannot have.", where=call.where, remedy="Check the token.")
        with _translated(call, url):
            request = httpx.Request(
                call.method,
                url,
                headers=names,
                content=_pieces_of(call.body, cancel) if isinstance(call.body, Path) else call.body,
                extensions={"timeout": self._timeout},
            )
            response = self._http.handle_request(request)
        try:
            got = {name.lower(): value for name, value in response.headers.items()}
            yield Streamed(response.status_code, got, _received(call, url, response))
        finally:
            response.close()


def _whole(got: Streamed, most: int | None = None) -> Reply:
    pieces, size = list[bytes](), 0
    for piece in got.chunks():
        pieces.append(piece)
        size += len(piece)
        if most is not None and size >= most:
            break
    return Reply(got.status, got.headers, b"".join(pieces))


def _is_transient(answer: Streamed | Reply) -> bool:
    if not isinstance(answer, Reply) or answer.status < 400:
        return False
    return answer.status in TRANSIENT_STATUS or read_problem(answer).code in TRANSIENT_CODES


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from Retry-After: a number, or a date that is compared with the answer's own date."""
    asked = headers.get("retry-after", "").strip()
    if asked.isdigit():
        return float(asked)
    try:
        later, now = parsedate_to_datetime(asked), parsedate_to_datetime(headers.get("date", ""))
        return max((later - now).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def _length_of(body: bytes | Path | None) -> dict[str, str]:
    """An upload says its length, so that a proxy need not collect it first (bulk2.md 9)."""
    return {"content-length": str(body.stat().st_size)} if isinstance(body, Path) else {}


def _pieces_of(file: Path, cancel: Event | None) -> Iterator[bytes]:
    with file.open("rb") as source:
        while piece := source.read(CHUNK):
            if cancel is not None and cancel.is_set():
                raise Cancelled("cancelled during an upload", remedy=_BEGIN_AGAIN)
            yield piece


def _received(call: Call[object], url: str, response: httpx.Response) -> Iterator[bytes]:
    """The body, decompressed here because httpx takes a gzip stream that ends too early for a whole one."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    with _translated(call, url):
        if encoding == "gzip":
            yield from _inflated(response.iter_raw())
        elif encoding in {"identity", ""}:
            yield from response.iter_raw()
        else:
            raise httpx.DecodingError(f"content encoding {encoding[:20]} was not asked for")


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    begun = False
    for piece in pieces:
        rest = piece
        while rest:
            if unpacker.eof:  # a gzip stream may have several members
                unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
            begun = True
            yield unpacker.decompress(rest)
            rest = unpacker.unused_data
    if begun and not unpacker.eof:
        raise httpx.RemoteProtocolError("the compressed body ends too early")


def _translated(call: Call[object], url: str) -> AbstractContextManager[None]:
    return _Translated(call, url)


class _Translated(AbstractContextManager[None]):
    """Turns the network's exceptions into ours. A class, because a generator inside a generator hides GeneratorExit."""

    def __init__(self, call: Call[object], url: str) -> None:
        self._call = call
        self._host = urlsplit(url).netloc

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, httpx.HTTPError | zlib.error | httpx.StreamError | httpx.InvalidURL):
            what, remedy = _explained(problem, self._host)
            raise ConnectionFailed(
                what,
                where=self._call.where,
                remedy=remedy,
                job_id=self._call.job_id,
                sent=not isinstance(problem, _NEVER_SENT),
            ) from None  # the original holds the request with its token


def _explained(problem: Exception, host: str) -> tuple[str, str]:
    """What happened and what to do; only texts that cannot hold a header's value are quoted."""
    text = str(problem)
    if isinstance(problem, httpx.ProxyError):
        return f"the proxy refuses the way to {host}", "Check HTTPS_PROXY and NO_PROXY."
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            f"the certificate of {host} cannot be verified",
            "A company proxy may stand between: name its certificate file in SSL_CERT_FILE.",
        )
    if isinstance(problem, httpx.ConnectError):
        return f"{host} cannot be reached ({text})", "Check the instance URL and the network."
    if isinstance(problem, httpx.ConnectTimeout):
        return f"{host} cannot be reached in time", "Check the instance URL, the network and any proxy."
    if isinstance(problem, httpx.TimeoutException):
        return f"{host} did not answer in time", "Try again; a bulk query takes what is too slow for the REST API."
    if isinstance(problem, httpx.LocalProtocolError | httpx.InvalidURL | httpx.UnsupportedProtocol):
        return (
            f"the request to {host} cannot be written as HTTP",
            "Check the instance URL and the token for odd letters.",
        )
    if isinstance(problem, httpx.DecodingError | zlib.error):
        return f"the answer of {host} is damaged", "Try again."
    return f"the connection to {host} was lost ({type(problem).__name__})", "Try again; what was done so far is kept."
