"""Result files and job-level failures, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sfframe.localorg.services.upload_csv import DELIMITERS
from tests.localorg.ingest_org import VERSION, IngestOrg

TOO_LONG = (
    "Exceeded max length for one record: 400004. Max length for one record should be less than or equal to 400000"
)
KINDS = ("successful", "failed")
LONG_HEADER = "Exceeded max length for the header: 32001. Max length should be less than or equal to 32000"


@pytest.fixture(scope="module")
def org() -> Iterator[IngestOrg]:
    with IngestOrg() as org:
        yield org


def new_ids(org: IngestOrg, job: str) -> list[str]:
    with org.store.cursor() as cursor:
        rows = cursor.execute(f'SELECT id FROM jobs."rows_{job}" WHERE error IS NULL ORDER BY record').fetchall()
    return [row[0] for row in rows]


def files(org: IngestOrg, job: str, version: str = VERSION) -> tuple[str, str, str]:
    return (
        org.file(job, "successfulResults", version),
        org.file(job, "failedResults", version),
        org.file(job, "unprocessedrecords", version),
    )


def test_the_three_files_of_a_job_with_good_and_bad_rows(org: IngestOrg) -> None:
    job = org.load("insert", '"NAME",day__c,Text__c\n"a, ""b""",2024-01-01,"x\ny"\nbad,nonsense,z\n')
    (record,) = new_ids(org, job)
    failed = "Failed to deserialize field at col 1. Due to, 'nonsense' is not a valid value for the type xsd:date"
    assert files(org, job) == (
        f'"sf__Id","sf__Created","NAME",day__c,Text__c\n"{record}","true","a, ""b""","2024-01-01","x\ny"\n',
        f'"sf__Id","sf__Error","NAME",day__c,Text__c\n"","INVALID_FIELD:{failed}:Day__c --","bad","nonsense","z"\n',
        '"NAME",day__c,Text__c',
    )


@pytest.mark.parametrize("name", sorted(DELIMITERS))
def test_results_use_the_delimiter_of_the_job(org: IngestOrg, name: str) -> None:
    mark = DELIMITERS[name]
    job = org.load("insert", f'Name{mark}Text__c\n"a{mark}b"{mark}c\nd{mark}ThisIsTooLong\n', columnDelimiter=name)
    (record,) = new_ids(org, job)
    said = "STRING_TOO_LONG:Text: data value too large: ThisIsTooLong (max length=10):Text__c --"
    assert files(org, job) == (
        mark.join(['"sf__Id"', '"sf__Created"', "Name", "Text__c"])
        + "\n"
        + mark.join([f'"{record}"', '"true"', f'"a{mark}b"', '"c"'])
        + "\n",
        mark.join(['"sf__Id"', '"sf__Error"', "Name", "Text__c"])
        + "\n"
        + mark.join(['""', f'"{said}"', '"d"', '"ThisIsTooLong"'])
        + "\n",
        f"Name{mark}Text__c",
    )


def test_a_job_with_crlf_gives_crlf(org: IngestOrg) -> None:
    job = org.load("insert", 'Name,Text__c\r\na,"b\nc"\r\n', lineEnding="CRLF")
    (record,) = new_ids(org, job)
    assert files(org, job) == (
        f'"sf__Id","sf__Created",Name,Text__c\r\n"{record}","true","a","b\nc"\r\n',
        '"sf__Id","sf__Error",Name,Text__c\r\n',
        "Name,Text__c",
    )


def test_columns_come_in_alphabetical_order_before_version_50(org: IngestOrg) -> None:
    job = org.create("insert", version="v49.0")
    org.upload(job, "Text__c,Name\nx,a\n")
    org.close_job(job)
    org.ingest.wait(job)
    (record,) = new_ids(org, job)
    assert files(org, job, "v49.0") == (
        f'"sf__Id","sf__Created",Name,Text__c\n"{record}","true","a","x"\n',
        '"sf__Id","sf__Error",Name,Text__c\n',
        "Text__c,Name",
    )


def test_quotes_are_doubled_in_any_cell_that_has_some(org: IngestOrg) -> None:
    cells = ["Name,Ext__c,Amount__c,Colour__c", '"say ""x""",a,5,red', 'plain,b,"1""2",red', 'c,"""",7,green']
    job = org.load("insert", "\n".join(cells) + "\n")
    first, third = new_ids(org, job)
    assert org.successes(job)[1:] == sorted(
        [f'"{first}","true","say ""x""","a","5.0","red"', f'"{third}","true","c","""","7.0","green"']
    )
    failed = """Failed to deserialize field at col 2. Due to, '1""2' is not a valid value for the type xsd:double"""
    assert org.failures(job)[1:] == [f'"","INVALID_FIELD:{failed}:Amount__c --","plain","b","1""2","red"']


def test_a_large_job_has_all_its_rows_in_its_files_though_in_another_order() -> None:
    numbers = range(12_000)
    upload = "Name,Amount__c\n" + "".join(f"row {one},{'x' if one % 1_000 == 7 else one}\n" for one in numbers)
    with IngestOrg() as org:
        job = org.load("insert", upload)
        good, bad = ([line.split(",") for line in org.file(job, f"{kind}Results").splitlines()[1:]] for kind in KINDS)
        stored = dict(org.rows('"Id", "Name"'))
    names = [cells[2].strip('"') for cells in good]
    expected = [f"row {one}" for one in numbers if one % 1_000 != 7]
    assert names != expected
    assert sorted(names) == sorted(expected)
    assert {cells[0].strip('"'): name for cells, name in zip(good, names, strict=True)} == stored
    assert sorted(cells[-2] for cells in bad) == sorted(f'"row {one}"' for one in numbers if one % 1_000 == 7)


def test_the_seed_decides_the_order_of_rows_and_another_seed_gives_another() -> None:
    upload = "Name\n" + "".join(f"row {number}\n" for number in range(500))
    orders = []
    for seed in (1, 1, 2):
        with IngestOrg(seed=seed, batch_rows=50) as org:
            job = org.load("insert", upload)
            orders.append([line.split(",")[2] for line in org.file(job, "successfulResults").splitlines()[1:]])
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    in_order = [f'"row {number}"' for number in range(500)]
    assert orders[0] != in_order
    assert sorted(orders[0]) == sorted(orders[2]) == sorted(in_order)


@pytest.mark.parametrize(
    ("operation", "upload", "message"),
    [
        ("insert", "Name,Colour_typo__c\na,b\n", "InvalidBatch : Field name not found : Colour_typo__c"),
        ("insert", "Name;Text__c\na;b\n", "InvalidBatch : Field name not found : Name;Text__c"),
        ("insert", "\ufeffName\na\n", "InvalidBatch : Field name not found : \ufeffName"),
        ("insert", "Name,name\na,b\n", "InvalidBatch : Duplicate field name found : name"),
        ("delete", "Id,Name\nx,a\n", "InvalidBatch : The 'delete' batch must contain only ids"),
        ("hardDelete", "Name\na\n", "InvalidBatch : The 'hardDelete' batch must contain only ids"),
        ("upsert", "Name\na\n", "InvalidBatch : Field name not found : Ext__c"),
        (
            "insert",
            "Name\r\na\r\n",
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF",
        ),
        ("insert", f"Name,Long__c\na,{'ü' * 131_073}\n", "InvalidBatch : Exceeded max field size: 131073"),
        (
            "insert",
            "Name,Long__c,Text__c,Mail__c\nb,c,d,e\n" + ",".join(["x" * 100_001] * 4) + "\n",
            f"InvalidBatch : {TOO_LONG}",
        ),
        (
            "insert",
            f"Name,{'x' * 31_996}\na,b\n",
            f"InvalidBatch : {LONG_HEADER}",
        ),
        ("insert", "," * 5_000 + "\na\n", "InvalidBatch : Exceeded max number of columns per record : 5000"),
    ],
)
def test_a_job_that_fails_on_its_header_leaves_all_rows_unprocessed(
    org: IngestOrg, operation: str, upload: str, message: str
) -> None:
    job = org.load(operation, upload, externalIdFieldName="Ext__c")
    info = org.info(job)
    assert list(info)[-1] == "errorMessage"
    counts = ("numberRecordsProcessed", "numberRecordsFailed", "totalProcessingTime", "apiActiveProcessingTime")
    assert (info["state"], info["errorMessage"]) == ("Failed", message)
    assert [info[key] for key in counts] == [0, 0, 0, 0]
    header, rows = upload.splitlines()[0], upload.splitlines()[1:]
    success, failed, unprocessed = files(org, job)
    assert unprocessed.splitlines() == [header, *rows]
    assert unprocessed.endswith(upload[len(header) :].lstrip("\r\n"))
    assert len(success.splitlines()) == len(failed.splitlines()) == 1


@pytest.mark.parametrize("operation", ["insert", "delete"])
def test_an_empty_upload_completes_with_nothing(org: IngestOrg, operation: str) -> None:
    job = org.load(operation, "")
    info = org.info(job)
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 0, 0)
    assert files(org, job) == ('"sf__Id","sf__Created"\n', '"sf__Id","sf__Error"\n', "")


def test_a_job_that_is_closed_without_an_upload_completes_with_nothing(org: IngestOrg) -> None:
    job = org.create("insert")
    org.close_job(job)
    assert org.ingest.wait(job).state == "JobComplete"
    assert files(org, job) == ('"sf__Id","sf__Created"\n', '"sf__Id","sf__Error"\n', "")


def test_a_cell_of_the_greatest_length_is_taken(org: IngestOrg) -> None:
    job = org.load("insert", f"Name,Long__c\na,{'ü' * 131_072}\n")
    assert org.errors(job) == []
    assert org.rows('length("Long__c")', where='"Name" = \'a\' AND "Long__c" IS NOT NULL') == [(131_072,)]


def test_a_header_alone_completes_with_nothing(org: IngestOrg) -> None:
    job = org.load("insert", "Name,Text__c\n")
    assert org.info(job)["state"] == "JobComplete"
    assert files(org, job) == (
        '"sf__Id","sf__Created",Name,Text__c\n',
        '"sf__Id","sf__Error",Name,Text__c\n',
        "Name,Text__c",
    )


def test_ragged_rows_fail_alone(org: IngestOrg) -> None:
    job = org.load("insert", "Name,Text__c\na\nb,c\nd,e,f\n")
    said = "INVALID_FIELD:Number of fields in record does not match the number of fields in the header:--"
    assert org.failures(job) == [
        '"sf__Id","sf__Error",Name,Text__c',
        f'"","{said}","a",""',
        f'"","{said}","d","e"',
    ]
    assert org.info(job)["numberRecordsProcessed"] == 3


def test_a_job_can_fail_behind_some_batches_with_all_three_files_filled() -> None:
    with IngestOrg(batch_rows=2, job_fails_after_batches=2) as org:
        job = org.load("insert", 'Name,Text__c\na,1\nb,2\n"c",toolongtext\nd,4\n\n"e",5\nf , "6"\n"g","7"')
        info = org.info(job)
        assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("Failed", 4, 1)
        assert info["errorMessage"] == "InternalServerError : Retried more than 20 times"
        assert org.successes(job) == [
            '"sf__Id","sf__Created",Name,Text__c',
            f'"{org.id(1)}","true","a","1"',
            f'"{org.id(2)}","true","b","2"',
            f'"{org.id(4)}","true","d","4"',
        ]
        assert len(org.failures(job)) == 2
        assert org.file(job, "unprocessedrecords") == 'Name,Text__c\n\n"e",5\nf , "6"\n"g","7"'
        assert org.rows('"Name"') == [("a",), ("b",), ("d",)]


def test_batches_over_the_daily_allowance_are_in_no_file() -> None:
    with IngestOrg(batch_rows=2, daily_batches=1) as org:
        job = org.load("insert", "Name\na\nb\nc\nd\n")
        info = org.info(job)
        assert (info["state"], info["numberRecordsProcessed"]) == ("Failed", 2)
        assert info["errorMessage"] == "ExceededQuota : ApiBatchItems Limit exceeded"
        assert org.file(job, "unprocessedrecords") == "Name"
        assert [len(org.successes(job)), len(org.failures(job))] == [3, 1]
        other = org.load("insert", "Name\nx\n")
        assert org.info(other)["numberRecordsProcessed"] == 0
