"""What the org offers: versions, resources, objects and their describes (rest.md 4 and 6)."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime, parsedate_to_datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.routes.answers import JsonAnswer, base_of, host_of, services_of
from sfframe.localorg.services.describes import Described
from sfframe.localorg.services.versions import versions

_RESOURCES = (
    *(
        "tooling",
        "tabs",
        "appMenu",
        "quickActions",
        "queryAll",
        "search",
        "composite",
        "parameterizedSearch",
        "theme",
        "recent",
        "limits",
    ),
    *("query", "jobs", "sobjects", "actions"),
)
_PACKED = "-gzip"


def all_versions(_request: Request) -> Response:
    """GET /services/data, without a session."""
    return JsonAnswer(versions())


def resources(request: Request) -> Response:
    """GET /services/data/vNN.0: the resources that this org serves, and who is calling."""
    base, store = base_of(request), services_of(request).store
    answer = {name: f"{base}/{name}" for name in _RESOURCES}
    return JsonAnswer(answer | {"identity": f"{host_of(request)}/id/{store.org_id}/{store.user_id}"})


def jobs(request: Request) -> Response:
    """GET /jobs: the two kinds; the shape is a guess after those of tooling and composite."""
    base = f"{base_of(request)}/jobs"
    return JsonAnswer({"ingest": f"{base}/ingest", "query": f"{base}/query"})


def all_objects(request: Request) -> Response:
    """GET /sobjects."""
    return conditional(request, services_of(request).describes.all_objects(base_of(request)))


def basic(request: Request) -> Response:
    """GET /sobjects/X."""
    return conditional(request, services_of(request).describes.basic(request.path_params["name"], base_of(request)))


def full(request: Request) -> Response:
    """GET /sobjects/X/describe."""
    name = request.path_params["name"]
    return conditional(request, services_of(request).describes.full(name, base_of(request), host_of(request)))


def conditional(request: Request, described: Described) -> Response:
    """The describe, or 304 where the client says that it has this one."""
    packed = "gzip" in request.headers.get("accept-encoding", "")
    headers = {
        # Recorded: another representation has another tag.
        "ETag": f'{described.etag[:-1]}{_PACKED}"' if packed else described.etag,
        "Last-Modified": format_datetime(described.changed.replace(tzinfo=dt.UTC), usegmt=True),
    }
    if _is_known(request, described):
        return Response(status_code=304, headers=headers)
    return JsonAnswer(described.text, headers=headers)


def _is_known(request: Request, described: Described) -> bool:
    tags = request.headers.get("if-none-match")
    if tags is not None:
        given = {tag.strip().removeprefix("W/").replace(_PACKED, "") for tag in tags.split(",")}
        return bool({described.etag, "*"} & given)
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        moment = parsedate_to_datetime(since)
    except ValueError:
        return False
    return described.changed <= moment.astimezone(dt.UTC).replace(tzinfo=None)


_VERSION = "/services/data/{version}"
routes = [
    Route("/services/data", all_versions, methods=["GET"]),
    Route(_VERSION, resources, methods=["GET"]),
    Route(f"{_VERSION}/jobs", jobs, methods=["GET"]),
    Route(f"{_VERSION}/sobjects", all_objects, methods=["GET"]),
    Route(f"{_VERSION}/sobjects/{{name}}", basic, methods=["GET"]),
    Route(f"{_VERSION}/sobjects/{{name}}/describe", full, methods=["GET"]),
]
