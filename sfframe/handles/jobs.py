"""create_job, get_job, list_jobs: a new job, a job by its id, all jobs of an org."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from sfframe import facts, orgs
from sfframe.errors import ApiError, AuthenticationError, NotFound, UsageError
from sfframe.facts import Operation
from sfframe.fetch import chunked
from sfframe.handles.bulk1_job import Bulk1Job
from sfframe.handles.handle import moments
from sfframe.handles.ingest_job import IngestJob
from sfframe.handles.query_job import QueryJob
from sfframe.ids import is_id
from sfframe.jobs.events import JobEvent, Listener, tell
from sfframe.protocol import bulk1, bulk2_ingest, bulk2_query

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.orgs import OrgLike
    from sfframe.protocol.bulk2_job import JobInfo, JobList
    from sfframe.protocol.call import Call

Query = Literal["query", "queryAll"]
_QUERIES = ("query", "queryAll")
_CLASSIC = "Classic"  # what the lists of Bulk 2.0 call jobs of Bulk 1.0 (bulk2.md 2.7)


@overload
def create_job(
    sobject: str,
    *,
    operation: Operation,
    api: Literal["bulk2"] = "bulk2",
    external_id_field: str | None = None,
    assignment_rule_id: str | None = None,
    on_event: Listener | None = None,
    org: OrgLike | None = None,
) -> IngestJob: ...
@overload
def create_job(
    sobject: str,
    *,
    operation: Query,
    api: Literal["bulk2"] = "bulk2",
    soql: str,
    on_event: Listener | None = None,
    org: OrgLike | None = None,
) -> QueryJob: ...
@overload
def create_job(
    sobject: str,
    *,
    operation: Operation | Query,
    api: Literal["bulk1"],
    external_id_field: str | None = None,
    assignment_rule_id: str | None = None,
    serial: bool = False,
    pk_chunking: bool | int = False,
    on_event: Listener | None = None,
    org: OrgLike | None = None,
) -> Bulk1Job: ...
def create_job(
    sobject: str,
    *,
    operation: Operation | Query,
    api: Literal["bulk2", "bulk1"] = "bulk2",
    external_id_field: str | None = None,
    soql: str | None = None,
    assignment_rule_id: str | None = None,
    serial: bool = False,
    pk_chunking: bool | int = False,
    on_event: Listener | None = None,
    org: OrgLike | None = None,
) -> IngestJob | QueryJob | Bulk1Job:
    """Make a bulk job in the org, and give a handle on it; nothing is loaded or queried by itself but a ``soql``.

    ``api="bulk2"`` gives an IngestJob, which takes one upload, or with ``operation="query"`` or ``"queryAll"`` and
    ``soql`` a QueryJob, which runs at once. ``"bulk1"`` gives a Bulk1Job, which takes batches of rows or of SOQL;
    ``serial`` has the org work on one of its batches at a time; ``pk_chunking`` has it cut the query by ranges of so
    many ids (True: 100,000), each a batch that ``batches()`` lists, and leave the batch that was added NotProcessed.
    ``external_id_field`` is for upserts, ``assignment_rule_id`` for Case and Lead. ``on_event`` gets a ``JobEvent`` at
    each step: open, uploaded, closed, queued, in_progress, ended, response (results are here), aborted, error.

    A job belongs to no run: it is not in the ledger. ``write_sobject`` and ``read_soql`` do whole loads and reads.

    >>> import sfframe as sf
    >>> job = sf.create_job("Contact", operation="upsert", external_id_field="Email", api="bulk1", org="local")
    >>> job.state, job.info.concurrency_mode
    ('Open', 'Parallel')
    """
    _check(operation, api, external_id_field=external_id_field, soql=soql, serial=serial, chunking=bool(pk_chunking))
    connection = orgs.connect(org)
    if api == "bulk1":
        chunking = chunked(connection.describe(sobject), pk_chunking) if pk_chunking else None
        made = connection.send(
            bulk1.create(
                sobject,
                operation,
                external_id_field=external_id_field,
                serial=serial,
                assignment_rule_id=assignment_rule_id,
                pk_chunking=chunking,
            )
        )
        tell(on_event, JobEvent("open", 0, 1, made.id, made.state))
        return Bulk1Job(connection, made, on_event)
    if soql is not None:
        begun = connection.send(bulk2_query.create(soql, include_deleted=operation == "queryAll"))
        tell(on_event, JobEvent("open", 0, 1, begun.id, begun.state))
        return QueryJob(connection, begun, on_event)
    opened = connection.send(
        bulk2_ingest.create(
            sobject,
            next(one for one in facts.OPERATIONS if one == operation),
            external_id_field=external_id_field,
            assignment_rule_id=assignment_rule_id,
        )
    )
    tell(on_event, JobEvent("open", 0, 1, opened.id, opened.state))
    return IngestJob(connection, opened, on_event)


def get_job(
    job_id: str, *, on_event: Listener | None = None, org: OrgLike | None = None
) -> IngestJob | QueryJob | Bulk1Job:
    """A handle on a job that exists, whoever made it; the org is asked which API and which kind it is of.

    An IngestJob or a QueryJob (Bulk API 2.0), or a Bulk1Job. Takes ids of 15 and 18 characters (750...); up to three
    calls. Raises NotFound for an unknown id: the org forgets jobs seven days after their end.

    >>> import sfframe as sf
    >>> made = sf.create_job("Account", operation="insert", org="local")
    >>> sf.get_job(made.id, org="local")
    <IngestJob id=..., job=insert Account, state=Open>
    """
    if not is_id(job_id) or not job_id.startswith(facts.JOB_ID_PREFIX):
        raise UsageError(
            f"{job_id!r} is not the id of a job", remedy="Job ids begin with 750 and have 15 or 18 characters."
        )
    connection = orgs.connect(org)
    for ask in (_ingest_job, _query_job, _bulk1_job):
        found = ask(connection, job_id, on_event)
        if found is not None:
            return found
    raise NotFound(
        f"the org has no job {job_id}",
        where=connection.instance_url,
        remedy="sfframe.list_jobs() shows the jobs of the last days; older ones are gone.",
        job_id=job_id,
    )


def list_jobs(*, org: OrgLike | None = None) -> pl.DataFrame:
    """The org's bulk jobs of the last days, those of all its users and clients, the newest first.

    One line per job: ``id``, ``api`` (bulk2 or bulk1), ``operation``, ``object``, ``state`` as Salesforce names it,
    ``created`` and ``modified`` (UTC), ``created_by_id``, ``external_id_field``, ``assignment_rule_id``,
    ``concurrency_mode``, ``content_type``, ``column_delimiter``, ``line_ending``, ``api_version``. What the org leaves
    out is null; the list has no counters: ``get_job`` has. All pages are read, up to 1,000 jobs each.

    >>> import sfframe as sf
    >>> made = sf.create_job("Account", operation="insert", org="local")
    >>> sf.list_jobs(org="local").filter(id=made.id).select("api", "operation", "state").row(0)
    ('bulk2', 'insert', 'Open')
    """
    import polars as pl

    connection = orgs.connect(org)
    # Each list may have jobs of other kinds as well (bulk2.md 2.7), so a job can come twice.
    jobs = {job.id: job for ask in (bulk2_ingest.list_jobs, bulk2_query.list_jobs) for job in _listed(connection, ask)}
    rows = [
        (
            job.id, "bulk1" if job.job_type == _CLASSIC else "bulk2", job.operation, job.object, job.state,
            job.created_date, job.system_modstamp, job.created_by_id, job.external_id_field, job.assignment_rule_id,
            job.concurrency_mode, job.content_type, job.column_delimiter, job.line_ending, job.api_version,
        )
        for job in jobs.values()
    ]  # fmt: skip
    texts = (
        "id", "api", "operation", "object", "state", "created", "modified", "created_by_id", "external_id_field",
        "assignment_rule_id", "concurrency_mode", "content_type", "column_delimiter", "line_ending",
    )  # fmt: skip
    schema = dict.fromkeys(texts, pl.String()) | {"api_version": pl.Float64()}
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col(pl.String).replace("", None))
    return moments(frame, "created", "modified").sort("created", "id", descending=True)


def _listed(connection: Org, ask: Callable[..., Call[JobList]]) -> list[JobInfo]:
    found: list[JobInfo] = []
    locator: str | None = None
    while True:
        page = connection.send(ask(locator=locator, job_type=None))
        found += page.jobs
        if page.next_locator in {None, locator}:
            return found
        locator = page.next_locator


def _check(
    operation: str, api: str, *, external_id_field: str | None, soql: str | None, serial: bool, chunking: bool
) -> None:
    """Refuses what does not go together, before anything is made."""
    query = operation in _QUERIES
    for wrong, what, remedy in (
        (api not in ("bulk2", "bulk1"), f"There is no api {api!r}", 'Use "bulk2" or "bulk1".'),
        (
            not query and operation not in facts.OPERATIONS,
            f"There is no operation {operation!r}",
            f"Use one of {', '.join((*facts.OPERATIONS, *_QUERIES))}.",
        ),
        (
            (operation == "upsert") != bool(external_id_field),
            f"operation={operation!r} with external_id_field={external_id_field!r}",
            "An upsert needs external_id_field, the field that finds its records; nothing else takes it.",
        ),
        (
            (soql is not None) != (query and api == "bulk2"),
            f"operation={operation!r} of {api} {'takes no' if soql else 'needs'} soql",
            "A Bulk API 2.0 query job needs it; one of Bulk API 1.0 takes its query by add_batch(soql).",
        ),
        (serial and api != "bulk1", "The Bulk API 2.0 has no serial mode", 'Use api="bulk1".'),
        (
            chunking and not (query and api == "bulk1"),
            f"operation={operation!r} of {api} has no PK chunking",
            'It is for queries of Bulk API 1.0: operation="query", api="bulk1".',
        ),
    ):
        if wrong:
            raise UsageError(what, remedy=remedy)


def _ingest_job(connection: Org, job_id: str, on_event: Listener | None) -> IngestJob | QueryJob | Bulk1Job | None:
    try:
        info = connection.send(bulk2_ingest.info(job_id))
    except NotFound:
        return None
    if info.job_type == _CLASSIC:
        return _bulk1_job(connection, job_id, on_event)
    if info.operation in _QUERIES:
        return _query_job(connection, job_id, on_event)
    return IngestJob(connection, info, on_event)


def _query_job(connection: Org, job_id: str, on_event: Listener | None) -> QueryJob | Bulk1Job | None:
    try:
        info = connection.send(bulk2_query.info(job_id))
    except NotFound:
        return None
    if info.job_type == _CLASSIC:
        return _bulk1_job(connection, job_id, on_event)
    return QueryJob(connection, info, on_event)


def _bulk1_job(connection: Org, job_id: str, on_event: Listener | None) -> Bulk1Job | None:
    try:
        return Bulk1Job(connection, connection.send(bulk1.info(job_id)), on_event)
    except AuthenticationError:
        raise
    except ApiError as problem:
        if problem.status == 400 and problem.error_code.upper() == "INVALIDJOB":  # an unknown id (bulk1.md 8)
            return None
        raise
