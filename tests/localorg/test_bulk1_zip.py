"""ZIP batches of Bulk API 1.0: rows whose cells name files of the same batch (bulk1.md 5)."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator

import polars as pl
import pytest

from tests.localorg.bulk1_org import NAMESPACE, Bulk1Org, bulk1_org

GIF = b'GIF89a\x00\xff\r\n#,"'


@pytest.fixture(scope="module")
def shared() -> Iterator[Bulk1Org]:
    with bulk1_org() as made:
        yield made


@pytest.fixture
def bulk(shared: Bulk1Org) -> Bulk1Org:
    shared.org.reset()
    return shared


@pytest.fixture
def parent(bulk: Bulk1Org) -> str:
    return bulk.org.insert("Account", pl.DataFrame({"Name": ["Place"]}))[0]


def packed(request: str | None, files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("dir")
        for name, body in files.items():
            archive.writestr(name, body)
        if request is not None:
            archive.writestr("request.txt", request)
    return content.getvalue()


def as_csv(rows: list[dict[str, str]]) -> str:
    return "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)])


def as_xml(rows: list[dict[str, str]]) -> str:
    inner = "".join(
        f"<sObject>{''.join(f'<{name}>{value}</{name}>' for name, value in row.items())}</sObject>" for row in rows
    )
    return f'<sObjects xmlns="{NAMESPACE}">{inner}</sObjects>'


@pytest.mark.parametrize(("kind", "written"), [("CSV", as_csv), ("JSON", json.dumps), ("XML", as_xml)])
def test_files_stand_in_place_of_the_cells_that_name_them(
    bulk: Bulk1Org, parent: str, kind: str, written: Callable[[list[dict[str, str]]], str]
) -> None:
    rows = [
        {"Name": "a.gif", "ParentId": parent, "Body": "#dir/a.gif"},
        {"Name": "empty", "ParentId": parent, "Body": "#b.txt"},
        {"Name": "again", "ParentId": parent, "Body": "#dir/a.gif"},
    ]
    assert bulk.create("insert", "Attachment", f"ZIP_{kind}").status_code == 201
    content = packed(written(rows), {"dir/a.gif": GIF, "b.txt": b"x", "not named": b"y"})
    batch = bulk.run(content)
    assert (batch.state, batch.processed, batch.failed) == ("Completed", 3, 0)
    stored = bulk.org.table("Attachment").select("Name", "Body", "BodyLength").rows()
    assert stored == [("a.gif", GIF, len(GIF)), ("empty", b"x", 1), ("again", GIF, len(GIF))]
    result = bulk.result()
    types = {"CSV": "text/csv", "JSON": "application/json", "XML": "application/xml"}
    assert result.headers["Content-Type"].partition(";")[0] == types[kind]
    assert result.text.count("true") == 6  # three rows that succeeded and were created
    submitted = bulk.http.get(f"job/{bulk.job_id}/batch/{bulk.batch_id}/request")
    assert (submitted.headers["Content-Type"], submitted.content) == (f"zip/{kind.lower()}", content)


def test_a_cell_that_names_no_file_is_a_fault_of_its_row(bulk: Bulk1Org, parent: str) -> None:
    lines = [f"Name,ParentId,Body\nlost,{parent},#c.txt", f"no mark,{parent},b.txt", f"good,{parent},#b.txt"]
    bulk.create("insert", "Attachment", "ZIP_CSV")
    batch = bulk.run(packed("\n".join(lines), {"b.txt": b"x"}))
    assert (batch.state, batch.processed, batch.failed) == ("Completed", 3, 2)
    said = "INVALID_FIELD:Binary file not found in the zip file:"
    assert bulk.result().text.splitlines()[1:3] == [
        f'"","false","false","{said} #c.txt:Body --"',
        f'"","false","false","{said} b.txt:Body --"',
    ]
    assert bulk.org.table("Attachment")["Name"].to_list() == ["good"]


def test_rows_without_bytes_can_come_in_a_zip_file_too(bulk: Bulk1Org) -> None:
    bulk.create("insert", "Account", "ZIP_CSV")
    assert bulk.run(packed("Name\na\nb", {})).state == "Completed"
    assert bulk.org.table("Account")["Name"].to_list() == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Name\na\n", "InvalidBatch : Unable to read the zip file: File is not a zip file"),
        (packed(None, {"dir/request.txt": b"Name\na"}), "InvalidBatch : request.txt not found in the zip file"),
        (
            packed("Name\na", {str(at): b"" for at in range(1_000)}),
            "InvalidBatch : The zip file has more than 1000 files",
        ),
        (
            packed("Name\na", {"zeros": bytes(20_000_001)}),
            "InvalidBatch : The files of the zip file have more than 20000000 bytes",
        ),
        (
            packed("Name\na", {"n" * 513: b""}),
            "InvalidBatch : A file name of the zip file has more than 512 bytes",
        ),
        (packed("Nme\na", {}), "InvalidBatch : Field name not found : Nme"),
    ],
)
def test_a_zip_file_that_cannot_be_used_fails_its_batch(bulk: Bulk1Org, content: bytes, message: str) -> None:
    bulk.create("insert", "Account", "ZIP_CSV")
    batch = bulk.run(content)
    assert (batch.state, batch.message, batch.processed) == ("Failed", message, 0)


def test_a_damaged_zip_file_fails_its_batch(bulk: Bulk1Org, parent: str) -> None:
    content = packed(f"Name,ParentId,Body\na,{parent},#a", {"a": bytes(range(256)) * 50})
    at = 80  # behind the head of the folder and that of the file
    bulk.create("insert", "Attachment", "ZIP_CSV")
    batch = bulk.run(content[:at] + b"\x00\x01\x02" + content[at + 3 :])
    assert batch.state == "Failed"
    assert (batch.message or "").startswith("InvalidBatch : Unable to read the zip file: ")
