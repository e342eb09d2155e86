"""Faults on demand: what goes wrong, for which requests or jobs, and when. The same seed gives the same trouble."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

RequestKind = Literal[
    "latency", "reset_before", "reset_after", "truncate", "answer", "expire_session", "results_expired", "locator_lost"
]
JobKind = Literal["job_stuck", "job_fails", "lock_rows", "slow_batches"]
Kind = Literal[RequestKind, JobKind]

RETRIED = "InternalServerError : Retried more than 20 times"  # bulk2.md 6.2

_REQUEST_KINDS: frozenset[str] = frozenset(get_args(RequestKind))
_KINDS: frozenset[str] = _REQUEST_KINDS | frozenset(get_args(JobKind))
# Where a fault without a path of its own strikes; a bulk locator is in the query string, a REST one in the path.
_PATHS = {"results_expired": ("*/jobs/*results*",), "locator_lost": ("*/query*/0*", "*results?*locator=*")}
_FOR_REQUESTS = ("method", "path", "seconds", "bytes", "status", "code", "message", "html", "acted", "retry_after")
_FOR_JOBS = ("object", "operation", "after_batches", "message", "share", "chunks")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. ``kind`` says what, the other arguments when and how much.

    Of the requests (by ``method`` and ``path``, a pattern with ``*`` over the path with or without its query, read
    without case) or of the jobs (by ``object`` and ``operation``) it strikes the ``nth`` ones, counted from 1, or each
    with ``probability``, or all; at most ``times`` of them.

    ==================  =============================================================================================
    latency             the request waits ``seconds`` before it is taken
    reset_before        the connection is reset before the org has done anything
    reset_after         the org does what was asked, then the connection is reset instead of an answer
    truncate            the answer breaks off behind ``bytes`` bytes of its body
    answer              the answer is ``status``: with ``code`` and ``message`` in JSON, or a page with ``html``; with
                        ``acted`` the org has done what was asked; ``retry_after`` seconds go into the header
    expire_session      the session of the request ends: this request and all later ones with it get 401
    results_expired     the result files of jobs are gone, as seven days after their end (bulk2.md 5)
    locator_lost        the place in a query's result is unknown
    job_stuck           the job stays InProgress behind ``after_batches`` batches
    job_fails           the job fails behind ``after_batches`` batches with ``message``; the rest stays unprocessed
    lock_rows           of the rows of the job (or of a save by another API) the ``share`` fails with
                        UNABLE_TO_LOCK_ROW; behind more than 100 of them the rest of a batch goes back into the queue
    slow_batches        the time of a batch is over behind ``chunks`` chunks of 200 rows: the rest of it goes back into
                        the queue, and the job counts a retry; after 20 of one batch the job fails (of Bulk API 1.0
                        after 10 the batch)
    ==================  =============================================================================================

    >>> from sfframe.localorg import Fault, LocalOrg
    >>> with LocalOrg() as org:
    ...     org.faults.add(Fault("answer", status=503, method="GET", path="*/query*", nth=(1, 2)))
    """

    kind: Kind
    method: str | None = None
    path: str | None = None
    object: str | None = None
    operation: str | None = None
    nth: int | tuple[int, ...] | None = None
    probability: float | None = None
    times: int | None = None
    seconds: float = 1.0
    bytes: int = 0
    status: int = 503
    code: str | None = None
    message: str | None = None
    html: bool = False
    acted: bool = False
    retry_after: int | None = None
    after_batches: int = 0
    share: float = 0.5
    chunks: int = 10

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"There is no fault {self.kind!r}. There are: {', '.join(sorted(_KINDS))}.")
        foreign = _FOR_JOBS if self.kind in _REQUEST_KINDS else _FOR_REQUESTS
        known = _FOR_REQUESTS if self.kind in _REQUEST_KINDS else _FOR_JOBS
        for field in fields(self):
            if field.name in foreign and field.name not in known and getattr(self, field.name) != field.default:
                raise ValueError(f"{field.name} means nothing for a fault of kind {self.kind}. Leave it out.")
        for name in ("probability", "share"):
            chance = getattr(self, name)
            if chance is not None and not 0 <= chance <= 1:
                raise ValueError(f"{name} is a share between 0 and 1, not {chance}.")

    def takes_request(self, method: str, path: str, query: str) -> bool:
        """Whether this is one of the requests that the fault is about, struck or not."""
        if self.kind not in _REQUEST_KINDS or (self.method or method).upper() != method:
            return False
        patterns = (self.path,) if self.path else _PATHS.get(self.kind, ("*",))
        targets = (path.lower(), f"{path}?{query}".lower())
        return any(fnmatchcase(target, pattern.lower()) for pattern in patterns for target in targets)

    def takes_job(self, sobject: str, operation: str) -> bool:
        """Whether this is one of the jobs that the fault is about, struck or not."""
        if self.kind in _REQUEST_KINDS:
            return False
        return (self.object or sobject).lower() == sobject.lower() and (self.operation or operation) == operation


@dataclass(frozen=True, slots=True)
class JobTrouble:
    """What happens to one job: where it stops or fails, counted in batches, which share of its rows is locked, and how
    many chunks of a batch are done when its time is over.
    """

    stuck_after: int | None = None
    fails_after: int | None = None
    message: str = RETRIED
    locked_share: float = 0.0
    chunks_per_try: int | None = None


class Faults:
    """The fault plan of one org. It lives with the process: a file of an org does not keep it."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._plan: list[Fault] = []
        self._seen: Counter[int] = Counter()
        self._struck: Counter[int] = Counter()
        self._jobs: dict[str, JobTrouble] = {}
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Add to the plan; each fault counts from now on."""
        with self._lock:
            self._plan += faults

    def load(self, plan: Path | str | Iterable[dict[str, Any]]) -> None:
        """Add the faults of a JSON file, one object or a list of them with the arguments of Fault, or such a list.

        Raises ValueError, naming the entry, and adds nothing then.
        """
        given: Any = json.loads(Path(plan).read_text("utf-8")) if isinstance(plan, Path | str) else plan
        made: list[Fault] = []
        for at, one in enumerate([given] if isinstance(given, dict) else given):
            try:
                nth = one.get("nth")  # JSON has no tuples
                made.append(Fault(**one | {"nth": tuple(nth) if isinstance(nth, list) else nth}))
            except (AttributeError, TypeError, ValueError) as error:
                raise ValueError(f"Fault {at} of the plan: {error}") from error
        self.add(*made)

    def clear(self) -> None:
        """Forget the plan and all counts; jobs that a fault holds stay held until they are released."""
        with self._lock:
            self._plan.clear()
            self._seen.clear()
            self._struck.clear()
            self._jobs.clear()

    @property
    def struck(self) -> list[tuple[Fault, int]]:
        """The plan, and how often each fault has struck."""
        with self._lock:
            return [(fault, self._struck[at]) for at, fault in enumerate(self._plan)]

    def on_request(self, method: str, path: str, query: str = "") -> list[Fault]:
        """The faults that strike this request, in the plan's order. Counts it: ask once per request."""
        with self._lock:
            return [
                fault
                for at, fault in enumerate(self._plan)
                if fault.takes_request(method, path, query) and self._strikes(at, fault)
            ]

    def on_job(self, job_id: str, sobject: str, operation: str) -> JobTrouble:
        """What happens to a job; the same answer whenever it is asked again."""
        with self._lock:
            if job_id not in self._jobs:
                self._jobs[job_id] = self._trouble(sobject, operation, frozenset(get_args(JobKind)))
            return self._jobs[job_id]

    def on_save(self, sobject: str, operation: str) -> float:
        """The share of locked rows of a save that belongs to no job. Counts it: ask once per save."""
        with self._lock:
            return self._trouble(sobject, operation, frozenset({"lock_rows"})).locked_share

    def _trouble(self, sobject: str, operation: str, kinds: frozenset[str]) -> JobTrouble:
        told: dict[str, Any] = {}
        for at, fault in enumerate(self._plan):
            if fault.kind not in kinds or not fault.takes_job(sobject, operation) or not self._strikes(at, fault):
                continue
            if fault.kind == "job_stuck":
                told["stuck_after"] = fault.after_batches
            elif fault.kind == "job_fails":
                told |= {"fails_after": fault.after_batches, "message": fault.message or RETRIED}
            elif fault.kind == "slow_batches":
                told["chunks_per_try"] = fault.chunks
            else:
                told["locked_share"] = fault.share
        return JobTrouble(**told)

    def _strikes(self, at: int, fault: Fault) -> bool:
        self._seen[at] += 1
        number = self._seen[at]
        if fault.times is not None and self._struck[at] >= fault.times:
            return False
        if fault.nth is not None:
            hit = number in ((fault.nth,) if isinstance(fault.nth, int) else fault.nth)
        elif fault.probability is not None:
            # By its number, not by a running generator: other faults and other requests change nothing.
            drawn = random.Random(f"{self._seed}:{json.dumps(asdict(fault), sort_keys=True)}:{number}")  # noqa: S311
            hit = drawn.random() < fault.probability
        else:
            hit = True
        self._struck[at] += hit
        return hit
