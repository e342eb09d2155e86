"""Requests that hold requests: what /composite, /composite/graph and /composite/batch ask for (rest.md 8.1 to 8.3).

Which answers an answer refers to, and how what was halted is told; the requests themselves are run by the routes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.json_body import JsonBody, unexpected

MAX_REQUESTS = 25
MAX_GRAPHS = 75
MAX_NODES = 500
MAX_FAILED_GRAPHS = 14
_STRICT_SINCE = 52  # illegal reference ids fail the whole request (rest.md 8.1)
_METHODS = frozenset({"POST", "PUT", "PATCH", "GET", "DELETE"})
_INHERITED = frozenset({"accept", "authorization", "content-type"})
_REFERENCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"@\{([^}.\[\]]+)((?:\.[^}.\[\]]+|\[\d+\])+)\}")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_ROLLED_BACK = "The transaction was rolled back since another operation in the same transaction failed."  # recorded


@dataclass(frozen=True, slots=True)
class SubRequest:
    """One request inside of another; ``body`` is JSON, None where there is none."""

    method: str
    url: str
    reference_id: str
    body: object
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class SubAnswer:
    """Its answer; ``text`` is JSON, empty where there is no body."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def failed(self) -> bool:
        """Whether the request did not do what it was asked for; in a collection no row may have failed."""
        if self.status >= 400 or self.status == 300:
            return True
        rows = json.loads(self.text) if self.text.startswith("[") else []
        return any(isinstance(row, dict) and row.get("success") is False for row in rows)


def halted(message: str = _ROLLED_BACK) -> SubAnswer:
    """The answer in place of a request that was undone or never run."""
    error = [{"errorCode": "PROCESSING_HALTED", "message": message}]
    return SubAnswer(400, {}, json.dumps(error, separators=(",", ":"), ensure_ascii=False))


def read(body: JsonBody, path: tuple[str | int, ...], version: int, *, most: int = MAX_REQUESTS) -> list[SubRequest]:
    """The requests under ``compositeRequest`` of the object at the path."""
    holder = body.at(path)
    given = holder.get("compositeRequest") if isinstance(holder, dict) else None
    if not isinstance(given, list):
        raise _missing("compositeRequest")
    if len(given) > most:
        raise TooManyRequests
    requests = [_request(body, (*path, "compositeRequest", at), one) for at, one in enumerate(given)]
    seen: set[str] = set()
    for one in requests:
        # Recorded graphs have reference ids with a hyphen; composites are held to the letter of the guide.
        if not path and version >= _STRICT_SINCE and not _REFERENCE_ID.fullmatch(one.reference_id):
            raise ServiceError(400, "INVALID_INPUT", _reference_rule(one.reference_id))
        if one.reference_id in seen:
            raise ServiceError(400, "INVALID_INPUT", f"The referenceId '{one.reference_id}' is used more than once")
        seen.add(one.reference_id)
    return requests


class TooManyRequests(Exception):
    """A composite of more requests than are allowed, which is answered in a form of its own."""

    ANSWER = (
        '{"compositeResponse":[{"body":[{"errorCode":"LIMIT_EXCEEDED","message":"The request can’t contain more than '
        '25 operations."}],"httpHeaders":{},"httpStatusCode":400,"referenceId":null}]}'
    )
    """Seen in the traffic of guardian/support-service-lambdas (pull request 766)."""


def _request(body: JsonBody, path: tuple[str | int, ...], given: object) -> SubRequest:
    if not isinstance(given, dict):
        raise unexpected(body, path, given)
    texts: dict[str, str] = {}
    for name in ("method", "url", "referenceId"):
        value = given.get(name)
        if not isinstance(value, str) or not value:
            raise _missing(name)
        texts[name] = value
    if texts["method"] not in _METHODS:
        raise ServiceError(400, "INVALID_INPUT", f"The method '{texts['method']}' is not supported")
    headers = given.get("httpHeaders") or {}
    if not isinstance(headers, dict):
        raise unexpected(body, (*path, "httpHeaders"), headers)
    for name in headers:
        if name.lower() in _INHERITED:
            raise ServiceError(400, "INVALID_INPUT", f"The header {name} is not allowed in a subrequest")
    named = {name: str(value) for name, value in headers.items()}
    return SubRequest(texts["method"], texts["url"], texts["referenceId"], given.get("body"), named)


def _missing(name: str) -> ServiceError:
    return ServiceError(400, "REQUIRED_FIELD_MISSING", f"{name} is required")  # code and words are guesses


def _reference_rule(reference_id: str) -> str:
    return (
        f"Provided referenceId ('{reference_id}') must start with a letter or a number, and it can contain only "
        "letters, numbers and underscores ('_')."
    )


class Answers:
    """The answers so far, and what later requests take from them: ``@{refAccount.id}`` in a URL or a body."""

    def __init__(self) -> None:
        self._bodies: dict[str, object] = {}

    def keep(self, reference_id: str, answer: SubAnswer) -> None:
        """Remember an answer under its reference id."""
        self._bodies[reference_id] = json.loads(answer.text) if answer.text else None

    def filled(self, request: SubRequest) -> SubRequest:
        """The request with all references replaced. Raises LookupError in the service's words for one to nothing."""
        url = _REFERENCE.sub(lambda found: str(self._value(found)), request.url)
        return SubRequest(request.method, url, request.reference_id, self._replaced(request.body), request.headers)

    def _replaced(self, value: object) -> object:
        if isinstance(value, dict):
            return {name: self._replaced(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._replaced(one) for one in value]
        if not isinstance(value, str):
            return value
        whole = _REFERENCE.fullmatch(value)
        return self._value(whole) if whole else _REFERENCE.sub(lambda found: str(self._value(found)), value)

    def _value(self, found: re.Match[str]) -> object:
        reference_id, path = found[1], found[2]
        value: object = self._bodies.get(reference_id)
        for name, index in _steps(path):
            if name is not None and isinstance(value, dict) and name in value:
                value = value[name]
            elif index is not None and isinstance(value, list) and index < len(value):
                value = value[index]
            else:
                words = f"Invalid reference specified. No value for {reference_id}{path} found in {reference_id}."
                raise LookupError(f"{words} {_reference_rule(reference_id)}")
        return value


def _steps(path: str) -> Iterator[tuple[str | None, int | None]]:
    for found in _STEP.finditer(path):
        yield found[1], int(found[2]) if found[2] else None


def read_graphs(body: JsonBody, version: int) -> list[tuple[str, list[SubRequest]]]:
    """The graphs by their ids, each with its requests."""
    given = body.expect_object().get("graphs")
    if not isinstance(given, list):
        raise _missing("graphs")
    if len(given) > MAX_GRAPHS:
        raise ServiceError(400, "LIMIT_EXCEEDED", f"The request can’t contain more than {MAX_GRAPHS} graphs.")
    graphs: dict[str, list[SubRequest]] = {}
    for at, graph in enumerate(given):
        graph_id = graph.get("graphId") if isinstance(graph, dict) else None
        if not isinstance(graph_id, str) or not 0 < len(graph_id) < 40 or "." in graph_id or graph_id in graphs:
            raise ServiceError(400, "INVALID_INPUT", f"The graphId '{graph_id}' is not valid")
        graphs[graph_id] = read(body, ("graphs", at), version, most=MAX_NODES)
    if sum(map(len, graphs.values())) > MAX_NODES:
        raise ServiceError(400, "LIMIT_EXCEEDED", f"The request can’t contain more than {MAX_NODES} nodes.")
    return list(graphs.items())


def read_batch(body: JsonBody) -> tuple[list[SubRequest], bool]:
    """The independent requests of a batch, and whether the first failure ends it."""
    asked = body.expect_object()
    given = asked.get("batchRequests")
    if not isinstance(given, list):
        raise _missing("batchRequests")
    if len(given) > MAX_REQUESTS:
        raise ServiceError(400, "LIMIT_EXCEEDED", "The request can’t contain more than 25 operations.")
    requests = []
    for at, one in enumerate(given):
        named = {**one, "referenceId": str(at)} if isinstance(one, dict) else one
        request = _request(body, ("batchRequests", at), named)
        url = request.url.removeprefix("/").removeprefix("services/data/")
        rich = one.get("richInput") if isinstance(one, dict) else None
        requests.append(SubRequest(request.method, f"/services/data/{url}", "", rich, {}))
    return requests, asked.get("haltOnError") is True
