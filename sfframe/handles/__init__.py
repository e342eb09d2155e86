"""Handles on single bulk jobs and batches, for those who need the parts; ``write_sobject`` does whole loads."""

from sfframe.handles.bulk1_batch import Bulk1Batch
from sfframe.handles.bulk1_job import Bulk1Job
from sfframe.handles.ingest_job import IngestJob
from sfframe.handles.jobs import create_job, get_job, list_jobs
from sfframe.handles.query_job import QueryJob

__all__ = ["Bulk1Batch", "Bulk1Job", "IngestJob", "QueryJob", "create_job", "get_job", "list_jobs"]
