"""Files: how long a body is, what a version's path and bytes imply, and the document that it belongs to.

From memory, but for what the sf CLI's ``data create file`` reads back: ContentDocumentId, Title and FileExtension.
"""

from __future__ import annotations

from collections.abc import Callable

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services.problems import literal
from sfframe.localorg.services.task import Task
from sfframe.localorg.store.store import quoted

VERSION = "ContentVersion"

# Fields of a document that say what its latest version says.
_SHARED = ("Title", "Description", "FileExtension", "FileType", "ContentSize", "ContentModifiedDate", "SharingOption")


def body_length(obj: ObjectDef, sent: set[str], value: Callable[[str], str], *, creating: bool) -> dict[str, str]:
    """SQL by field name: the bytes in a body, of attachments and documents; ``sent`` names the fields of the upload."""
    body = obj.field("Body")
    if body is None or body.type != "base64" or obj.field("BodyLength") is None or not (creating or "Body" in sent):
        return {}
    return {"BodyLength": f"coalesce(octet_length(CAST({value('Body')} AS BLOB)), 0)"}


def version_fields(obj: ObjectDef, value: Callable[[str], str]) -> dict[str, str]:
    """SQL by field name: what follows from the path and the bytes of a new version; nothing for other objects."""
    if obj.name != VERSION:
        return {}
    path = value("PathOnClient")
    extension = f"nullif(regexp_extract({path}, '\\.([^./\\\\]+)$', 1), '')"
    return {
        # "By default its name in the org is the same as the local file name", says the sf CLI of ``data create file``.
        "Title": f"coalesce({value('Title')}, regexp_extract({path}, '[^/\\\\]+$'))",
        "FileExtension": extension,
        "FileType": f"CASE lower({extension}) WHEN 'txt' THEN 'TEXT' ELSE coalesce(upper({extension}), 'UNKNOWN') END",
        "ContentSize": f"octet_length({value('VersionData')})",
        "Checksum": f"md5({value('VersionData')})",
        "ContentModifiedDate": f"coalesce({value('ContentModifiedDate')}, {value('CreatedDate')})",
        "ContentModifiedById": value("CreatedById"),
        "PublishStatus": "'R'",
    }


def file_versions(task: Task, cursor: duckdb.DuckDBPyConnection) -> None:
    """Put the new versions of ``saving_rows`` into their documents: those that they name, else new ones."""
    store = task.store
    cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE new_versions AS
        SELECT v."Id" AS id, v."ContentDocumentId" AS document, w.record, v."ContentDocumentId" IS NULL AS first,
            row_number() OVER (PARTITION BY v."ContentDocumentId" IS NULL ORDER BY w.record) AS place
        FROM saving_rows w JOIN {task.table} v ON v."Id" = w.id WHERE w.problem IS NULL AND w.creates
    """)
    count = int(cursor.execute("SELECT count(*) FROM new_versions WHERE first").fetchall()[0][0])
    if count:
        at = store.next_counter(cursor, "069", count)
        cursor.execute(f"UPDATE new_versions SET document = sf_id('069', {at} - 1 + place) WHERE first")
    cursor.execute(f"""
        UPDATE {task.table} AS v SET "IsLatest" = false
        WHERE "ContentDocumentId" IN (SELECT document FROM new_versions WHERE NOT first)
    """)
    cursor.execute(f"""
        UPDATE {task.table} AS v SET "ContentDocumentId" = n.document, "VersionNumber" = n.number, "IsLatest" = n.latest
        FROM (
            SELECT id, document, record = max(record) OVER (PARTITION BY document) AS latest, CAST(
                coalesce(before, 0) + row_number() OVER (PARTITION BY document ORDER BY record) AS VARCHAR
            ) AS number FROM new_versions LEFT JOIN (
                SELECT "ContentDocumentId" AS known, count(*) AS before FROM {task.table}
                WHERE "Id" NOT IN (SELECT id FROM new_versions) GROUP BY 1
            ) ON known = document
        ) n WHERE v."Id" = n.id
    """)
    _documents(task, cursor)
    _links(task, cursor)


def _documents(task: Task, cursor: duckdb.DuckDBPyConnection) -> None:
    """Make the documents of first versions; all show what their latest version says."""
    document = task.store.catalogue.find("ContentDocument")
    if document is None:
        return
    table = task.store.table(document)
    same = ("OwnerId", "CreatedById", "CreatedDate", "LastModifiedById", "LastModifiedDate", "SystemModstamp")
    copied = ", ".join(quoted(name) for name in (*same, *_SHARED))
    cursor.execute(f"""
        INSERT INTO {table} ("Id", "LatestPublishedVersionId", "PublishStatus", "IsDeleted", "IsArchived", {copied})
        SELECT "ContentDocumentId", "Id", 'R', false, false, {copied} FROM {task.table}
        WHERE "Id" IN (SELECT id FROM new_versions WHERE first)
    """)
    shown = ", ".join(f"{quoted(name)} = v.{quoted(name)}" for name in (*_SHARED, "LastModifiedDate", "SystemModstamp"))
    cursor.execute(f"""
        UPDATE {table} AS d SET "LatestPublishedVersionId" = v."Id", {shown} FROM {task.table} v
        WHERE v."ContentDocumentId" = d."Id" AND v."IsLatest"
            AND v."Id" IN (SELECT id FROM new_versions WHERE NOT first)
    """)


def _links(task: Task, cursor: duckdb.DuckDBPyConnection) -> None:
    """Link new documents with their owner and, where one is named, with the record they were published to."""
    link = task.store.catalogue.find("ContentDocumentLink")
    if link is None:
        return
    wanted = f"""
        SELECT v."ContentDocumentId" AS document, v."SystemModstamp" AS stamp, unnest([
            {{'to': v."OwnerId", 'how': 'I'}}, {{'to': v."FirstPublishLocationId", 'how': 'V'}}
        ]) AS link FROM {task.table} v WHERE v."Id" IN (SELECT id FROM new_versions WHERE first)
    """
    cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE new_links AS SELECT document, stamp, link.to AS linked, min(link.how) AS how
        FROM ({wanted}) WHERE link.to IS NOT NULL GROUP BY ALL
    """)
    count = int(cursor.execute("SELECT count(*) FROM new_links").fetchall()[0][0])
    if count:
        prefix = link.key_prefix or ""
        at = task.store.next_counter(cursor, prefix, count)
        cursor.execute(f"""
            INSERT INTO {task.store.table(link)}
                ("Id", "LinkedEntityId", "ContentDocumentId", "ShareType", "Visibility", "IsDeleted", "SystemModstamp")
            SELECT sf_id({literal(prefix)}, {at} - 1 + row_number() OVER (ORDER BY document, how)), linked, document,
                how, 'AllUsers', false, stamp
            FROM new_links
        """)
