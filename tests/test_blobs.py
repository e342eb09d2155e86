"""Bodies of records as files: whole, named after their records, and not fetched twice."""

from __future__ import annotations

import base64
import json

import polars as pl
import pytest

import sfframe as sf
from sfframe.errors import IncompleteAnswer, UsageError
from sfframe.localorg import Fault
from sfframe.protocol.call import Call

BODIES = {"Offer: 1/2": b"\x00\xff" * 50_000, "Minutes.txt": b"few words", "": b"x"}


@pytest.fixture
def attachments(org):
    """Attachments of one account, made by single calls; gives their ids by name."""
    account = _made(org, "Account", {"Name": "Acme"})
    return {
        name: _made(org, "Attachment", {"ParentId": account, "Name": name or "?", "Body": base64.b64encode(body)})
        for name, body in BODIES.items()
    }


def _made(org, sobject, values):
    body = json.dumps({key: one.decode() if isinstance(one, bytes) else one for key, one in values.items()}).encode()
    headers = {"Content-Type": "application/json"}
    return org.send(Call("POST", f"sobjects/{sobject}", _id, repeatable=False, headers=headers, body=body))


def _id(reply):
    return json.loads(reply.body)["id"]


def test_bodies_become_files_called_after_their_records(org, attachments, tmp_path):
    found = sf.read_blobs("SELECT Id, Name FROM Attachment ORDER BY Name", tmp_path / "new", org=org)
    assert found.columns == ["Id", "Name", "path", "bytes"]
    expected = {
        f"{attachments['Offer: 1/2']}_Offer_ 1_2": BODIES["Offer: 1/2"],
        f"{attachments['Minutes.txt']}_Minutes.txt": BODIES["Minutes.txt"],
        f"{attachments['']}__": BODIES[""],
    }
    assert {file.name: file.read_bytes() for file in (tmp_path / "new").iterdir()} == expected
    assert sorted(found["path"]) == sorted(f"{tmp_path / 'new'}/{name}" for name in expected)
    assert found["bytes"].sum() == sum(map(len, BODIES.values()))


def test_a_long_list_is_spread_and_each_file_comes_once(org, attachments, tmp_path):
    names = ["minutes.TXT", *(f"no such file {number:09}" for number in range(6_000)), "Minutes.txt", "Offer: 1/2"]
    query = "SELECT Name FROM Attachment WHERE Name IN :names"
    found = sf.read_blobs(query, tmp_path, params={"names": names}, org=org)
    assert found.columns == ["Name", "path", "bytes"]
    assert sorted(found["Name"]) == ["Minutes.txt", "Offer: 1/2"]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.fixture
def versions(org):
    """Two files, made by single calls; gives their ids by title."""
    given = {"Plan": b"%PDF", "Offer": b"\x00\xff" * 50_000}
    return {
        title: _made(
            org,
            "ContentVersion",
            {"Title": title, "PathOnClient": f"{title}.pdf", "VersionData": base64.b64encode(body)},
        )
        for title, body in given.items()
    }


def test_files_have_the_ending_of_their_version(org, versions, tmp_path):
    found = sf.read_blobs("SELECT Id FROM ContentVersion ORDER BY Title DESC", tmp_path, org=org)
    assert found.rows() == [
        (versions["Plan"], f"{tmp_path}/{versions['Plan']}_Plan.pdf", 4),
        (versions["Offer"], f"{tmp_path}/{versions['Offer']}_Offer.pdf", 100_000),
    ]


def test_a_file_that_is_there_whole_is_not_fetched_again(org, local_org, versions, tmp_path):
    sf.read_blobs("SELECT Id FROM ContentVersion", tmp_path, org=org)
    (tmp_path / f"{versions['Offer']}_Offer.pdf").write_bytes(b"cut off")
    local_org.clear_request_log()
    sf.read_blobs("SELECT Id FROM ContentVersion", tmp_path, org=org)
    fetched = local_org.request_log().filter(pl.col("path").str.ends_with("/VersionData"))["path"].to_list()
    assert fetched == [f"/services/data/v66.0/sobjects/ContentVersion/{versions['Offer']}/VersionData"]
    assert (tmp_path / f"{versions['Offer']}_Offer.pdf").stat().st_size == 100_000


@pytest.mark.usefixtures("versions")
def test_a_body_that_breaks_off_is_fetched_again_and_one_of_another_size_raises(org, local_org, tmp_path):
    local_org.faults.add(Fault("truncate", bytes=2, path="*/VersionData", nth=1))
    assert sf.read_blobs("SELECT Id FROM ContentVersion", tmp_path, org=org)["bytes"].sum() == 100_004
    local_org.faults.add(Fault("answer", status=200, path="*/VersionData"))
    with pytest.raises(IncompleteAnswer, match="the file has"):
        sf.read_blobs("SELECT Id FROM ContentVersion", tmp_path / "other", org=org)
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize("query", ["SELECT Id FROM Account", "SELECT COUNT() FROM Attachment"])
def test_records_without_bodies_are_refused(org, tmp_path, query):
    with pytest.raises(UsageError, match="has no bodies that can be downloaded"):
        sf.read_blobs(query, tmp_path, org=org)
