"""Rows to load, a query for them, and a job that has loaded them."""

from __future__ import annotations

import polars as pl

import sfframe as sf

ROWS = pl.DataFrame({"Ext__c": ["a", "b", "c"], "Amount__c": [1.5, None, 3.0], "Flag__c": [True, False, True]})
SOQL = "SELECT Ext__c, Amount__c, Flag__c, CreatedBy.Name FROM Widget__c ORDER BY Ext__c"


def stored(local: sf.LocalOrg, *columns: str) -> list[tuple[object, ...]]:
    """What the org holds."""
    return sorted(local.table("Widget__c").select(columns).rows())


def loaded(org: sf.Org, rows: object = ROWS) -> sf.IngestJob:
    """An ingest job that has ended."""
    job = sf.create_job("Widget__c", operation="insert", org=org)
    job.upload(rows)
    job.close()
    job.poll()
    return job
