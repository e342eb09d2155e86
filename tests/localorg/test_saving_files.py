"""Files: a version makes its document, further versions go into it."""

from __future__ import annotations

import base64
from typing import Any

import polars as pl
import pytest

from sfframe.localorg import LocalOrg
from sfframe.localorg.server import make_app
from tests.localorg.app_client import AppClient


@pytest.fixture
def client(local_org: LocalOrg) -> AppClient:
    return AppClient(make_app(local_org._services), local_org.credentials.access_token)


def upload(client: AppClient, body: bytes, **fields: str) -> str:
    row = {"VersionData": base64.b64encode(body).decode(), **fields}
    answer = client.post("/services/data/v62.0/sobjects/ContentVersion", json=row)
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


def test_a_first_version_makes_a_document_and_links_it_with_its_owner(local_org: LocalOrg, client: AppClient) -> None:
    account = client.post("/services/data/v62.0/sobjects/Account", json={"Name": "Place"}).json()["id"]
    made = upload(client, b"two\nlines", PathOnClient="notes/to do.txt", FirstPublishLocationId=account)
    version = local_org.table("ContentVersion").row(0, named=True)
    document = local_org.table("ContentDocument").row(0, named=True)
    shown = ("Title", "FileExtension", "FileType", "ContentSize")
    assert [[one[name] for name in shown] for one in (version, document)] == [["to do.txt", "txt", "TEXT", 9]] * 2
    assert (version["Id"], version["ContentDocumentId"], version["VersionNumber"], version["IsLatest"]) == (
        made,
        document["Id"],
        "1",
        True,
    )
    assert (document["Id"][:3], document["LatestPublishedVersionId"]) == ("069", made)
    links = local_org.table("ContentDocumentLink").select("ContentDocumentId", "LinkedEntityId", "ShareType").rows()
    assert sorted(links, key=lambda row: row[2]) == [
        (document["Id"], document["OwnerId"], "I"),
        (document["Id"], account, "V"),
    ]


def test_a_further_version_is_the_latest_of_its_document(local_org: LocalOrg, client: AppClient) -> None:
    first = upload(client, b"one", PathOnClient="a.csv", Title="Rows")
    document = local_org.table("ContentDocument")["Id"][0]
    second = upload(client, b"three", PathOnClient="a.csv", Title="More rows", ContentDocumentId=document)
    versions = local_org.table("ContentVersion").select("Id", "ContentDocumentId", "VersionNumber", "IsLatest")
    assert versions.rows() == [(first, document, "1", False), (second, document, "2", True)]
    known = local_org.table("ContentDocument").select("Title", "ContentSize", "LatestPublishedVersionId").rows()
    assert known == [("More rows", 5, second)]


def test_many_first_versions_in_one_save_make_as_many_documents(local_org: LocalOrg, client: AppClient) -> None:
    records: list[dict[str, Any]] = [
        {"attributes": {"type": "ContentVersion"}, "PathOnClient": f"{n}.bin", "VersionData": "AAEC"} for n in range(20)
    ]
    rows = client.post("/services/data/v62.0/composite/sobjects", json={"records": records}).json()
    joined = local_org.table("ContentVersion").join(
        local_org.table("ContentDocument"), left_on="ContentDocumentId", right_on="Id", suffix="_document"
    )
    assert joined.sort("Id")["Title_document"].to_list() == [f"{n}.bin" for n in range(20)]
    assert set(joined["Id"]) == {row["id"] for row in rows}
    assert local_org.table("ContentDocumentLink").select(pl.len()).item() == 20


def test_attachments_and_documents_tell_how_long_their_bodies_are(local_org: LocalOrg, client: AppClient) -> None:
    base = "/services/data/v62.0/sobjects"
    account = client.post(f"{base}/Account", json={"Name": "Place"}).json()["id"]
    [folder] = local_org.insert(
        "Folder", pl.DataFrame({"Name": ["F"], "DeveloperName": ["F"], "Type": ["Document"], "AccessType": ["Public"]})
    )
    wanted = {
        "Attachment": {"Name": "a", "ParentId": account, "Body": base64.b64encode(b"\0\xff\n").decode()},
        "Document": {"Name": "d", "DeveloperName": "d", "FolderId": folder},
    }
    made = {name: client.post(f"{base}/{name}", json=row).json()["id"] for name, row in wanted.items()}

    def lengths() -> list[int]:
        return [local_org.table(name)["BodyLength"][0] for name in wanted]

    assert lengths() == [3, 0]
    for name, one in made.items():
        body = {"Body": base64.b64encode(b"seven\r\n").decode()}
        assert client.patch(f"{base}/{name}/{one}", json=body).status_code == 204
    assert lengths() == [7, 7]
    assert client.patch(f"{base}/Document/{made['Document']}", json={"Name": "e"}).status_code == 204
    assert client.patch(f"{base}/Attachment/{made['Attachment']}", json={"BodyLength": 1}).status_code == 400
    assert lengths() == [7, 7]
