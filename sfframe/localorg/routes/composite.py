"""Composite requests over HTTP: /services/data/vNN.0/composite and its kin (rest.md 8.1 to 8.4)."""

from __future__ import annotations

import asyncio
import json

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.routes.answers import JsonAnswer, base_of, json_text, services_of
from sfframe.localorg.routes.subrequests import SubRequests
from sfframe.localorg.services import composite as requests_of
from sfframe.localorg.services.composite import Answers, SubAnswer, SubRequest, halted
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.sobject_collections import RolledBack
from sfframe.localorg.store.store import Store

Told = list[tuple[SubRequest, SubAnswer]]


def resources(request: Request) -> Response:
    """GET /composite: where its resources are."""
    base = f"{base_of(request)}/composite"
    return JsonAnswer({name: f"{base}/{name}" for name in ("tree", "batch", "sobjects", "graph")})


async def composite(request: Request) -> Response:
    """Requests that refer to answers of earlier ones; with allOrNone all or none of them."""
    body = await json_text(request)
    try:
        asked = requests_of.read(body, (), _version(request))
    except requests_of.TooManyRequests as refused:
        return JsonAnswer(refused.ANSWER, 400)
    all_or_none = body.expect_object().get("allOrNone") is True
    told = await run_in_threadpool(_run, request, asked, all_or_none=all_or_none)
    return JsonAnswer(_composite_answer(told))


async def graph(request: Request) -> Response:
    """Graphs of requests, each of which is done as a whole or not at all."""
    graphs = requests_of.read_graphs(await json_text(request), _version(request))
    answers, failed = [], 0
    for graph_id, asked in graphs:
        if failed >= requests_of.MAX_FAILED_GRAPHS:
            told = [(one, halted()) for one in asked]
        else:
            told = await run_in_threadpool(_run, request, asked, all_or_none=True)
        successful = not any(answer.failed for _, answer in told)
        failed += not successful
        answers.append(
            f'{{"graphId":{_json(graph_id)},"graphResponse":{_composite_answer(told)},'
            f'"isSuccessful":{_json(successful)}}}'
        )
    return JsonAnswer(f'{{"graphs":[{",".join(answers)}]}}')


async def batch(request: Request) -> Response:
    """Independent requests, each of which counts as a call."""
    asked, halts = requests_of.read_batch(await json_text(request))
    answers = await run_in_threadpool(lambda: asyncio.run(_batch(request, asked, halts=halts)))
    failed = _json(any(answer.status >= 400 for answer in answers))
    results = ",".join(f'{{"statusCode":{one.status},"result":{one.text or "null"}}}' for one in answers)
    return JsonAnswer(f'{{"hasErrors":{failed},"results":[{results}]}}')


async def _batch(request: Request, asked: list[SubRequest], *, halts: bool) -> list[SubAnswer]:
    inside, limits = SubRequests(request), services_of(request).limits
    answers: list[SubAnswer] = []
    for one in asked:
        if halts and any(answer.status >= 400 for answer in answers):
            words = "The batch was halted because an earlier request of it failed"  # the words are a guess
            answers.append(SubAnswer(412, {}, _json([{"errorCode": "BATCH_PROCESSING_HALTED", "message": words}])))
            continue
        try:
            limits.count_call()
        except ServiceError as error:
            answers.append(SubAnswer(error.status, {}, _json([{"message": error.message, "errorCode": error.code}])))
            continue
        answers.append(await inside.send(one))
    return answers


def _run(request: Request, asked: list[SubRequest], *, all_or_none: bool) -> Told:
    """Run the requests one after the other, in a thread and an event loop of their own.

    The server's threads may all be waiting for the transaction that this one holds, so it must not need another.
    """
    if not all_or_none:
        return asyncio.run(_in_turn(request, asked, all_or_none=False))
    store: Store = services_of(request).store
    told: Told = []
    try:
        with store.transaction():
            told = asyncio.run(_in_turn(request, asked, all_or_none=True))
            if any(answer.failed for _, answer in told):
                raise RolledBack
    except RolledBack:
        told = [(one, answer if answer.failed else halted()) for one, answer in told]
    return told


async def _in_turn(request: Request, asked: list[SubRequest], *, all_or_none: bool) -> Told:
    inside, answers = SubRequests(request), Answers()
    told: Told = []
    stopped = False
    for one in asked:
        try:
            answer = halted() if stopped else await inside.send(answers.filled(one))
        except LookupError as error:
            answer = halted(str(error.args[0]))
        answers.keep(one.reference_id, answer)
        told.append((one, answer))
        stopped = all_or_none and any(each.failed for _, each in told)
    return told


def _composite_answer(told: Told) -> str:
    parts = [
        f'{{"body":{answer.text or "null"},"httpHeaders":{_json(answer.headers)},"httpStatusCode":{answer.status},'
        f'"referenceId":{_json(one.reference_id)}}}'
        for one, answer in told
    ]
    return f'{{"compositeResponse":[{",".join(parts)}]}}'


async def tree(request: Request) -> Response:
    """Records with their children in one body; all are stored or none."""
    body = await json_text(request)
    path, trees = request.path_params, services_of(request).trees
    results, failed = await run_in_threadpool(trees.create, path["name"], body, path["version"])
    return JsonAnswer({"hasErrors": failed, "results": results}, 400 if failed else 201)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _version(request: Request) -> int:
    return int(request.path_params["version"][1:].partition(".")[0])


_BASE = "/services/data/{version}/composite"
routes = [
    Route(_BASE, resources, methods=["GET"]),
    Route(_BASE, composite, methods=["POST"]),
    Route(f"{_BASE}/batch", batch, methods=["POST"]),
    Route(f"{_BASE}/graph", graph, methods=["POST"]),
    Route(f"{_BASE}/tree/{{name}}", tree, methods=["POST"]),
]
