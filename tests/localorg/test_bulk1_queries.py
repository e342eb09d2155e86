"""Query batches of Bulk API 1.0: result files in three formats, what is refused, and PK chunking."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import json
from collections.abc import Callable, Iterator

import pytest

from sfframe.localorg.services.bulk1_jobs import Batch
from tests.localorg.bulk1_org import NAMESPACE, NOON, Bulk1Org, bulk1_org, error_of, xml_of

MOMENT = 1_767_321_845_678  # 2026-01-02T02:44:05.678Z


@pytest.fixture(scope="module")
def shared() -> Iterator[Bulk1Org]:
    with bulk1_org() as org:
        org.org.insert("Account", org.org.sql("SELECT 'Acme <&> \"Co\"' AS Name"))
        firm = org.org.table("Account")["Id"][0]
        org.load(
            "insert",
            "Name,Text__c,Amount__c,Count__c,Flag__c,Day__c,Moment__c,Firm__c\n"
            f'A,"say ""x""",1.5,3,true,2026-01-02,2026-01-02T02:44:05.678Z,{firm}\nB,,,,,,,\n',
        )
        yield org


SELECTED = "SELECT Id, Name, Text__c, Amount__c, Count__c, Flag__c, Day__c, Moment__c, Firm__r.Name FROM Widget__c"


def ids(org: Bulk1Org) -> list[str]:
    return [row[0] for row in org.rows("Id")]


def test_a_csv_result_quotes_everything_and_has_the_columns_of_the_query(shared: Bulk1Org) -> None:
    answer = shared.query(SELECTED)
    first, second = ids(shared)
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.text == (
        '"Id","Name","Text__c","Amount__c","Count__c","Flag__c","Day__c","Moment__c","Firm__r.Name"\n'
        f'"{first}","A","say ""x""","1.5","3","true","2026-01-02","2026-01-02T02:44:05.678Z","Acme <&> ""Co"""\n'
        f'"{second}","B","","","","false","","",""\n'
    )


def test_a_json_result_nests_parents_and_counts_milliseconds(shared: Bulk1Org) -> None:
    answer = shared.query(SELECTED, content_type="JSON")
    first, second = ids(shared)
    assert answer.headers["Content-Type"] == "application/json"
    firm = shared.org.table("Account")["Id"][0]
    path = "/services/data/v62.0/sobjects"
    day = round(dt.datetime(2026, 1, 2, tzinfo=dt.UTC).timestamp() * 1000)
    nothing = dict.fromkeys(["Text__c", "Amount__c", "Count__c"]) | {"Flag__c": False}
    nothing |= dict.fromkeys(["Day__c", "Moment__c", "Firm__r"])
    assert answer.json() == [
        {
            "attributes": {"type": "Widget__c", "url": f"{path}/Widget__c/{first}"},
            "Id": first,
            "Name": "A",
            "Text__c": 'say "x"',
            "Amount__c": 1.5,
            "Count__c": 3,
            "Flag__c": True,
            "Day__c": day,
            "Moment__c": MOMENT,
            "Firm__r": {
                "attributes": {"type": "Account", "url": f"{path}/Account/{firm}"},
                "Name": 'Acme <&> "Co"',
            },
        },
        {
            "attributes": {"type": "Widget__c", "url": f"{path}/Widget__c/{second}"},
            "Id": second,
            "Name": "B",
            **nothing,
        },
    ]


def test_an_xml_result_is_written_as_the_partner_api_does(shared: Bulk1Org) -> None:
    answer = shared.query("SELECT Id, Text__c, Firm__r.Name FROM Widget__c", content_type="XML")
    assert answer.headers["Content-Type"] == "application/xml"
    first, second = ids(shared)
    nil = 'xsi:nil="true"'
    assert answer.text == (
        f'<?xml version="1.0" encoding="UTF-8"?><queryResult\n   xmlns="{NAMESPACE}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
        f'<records xsi:type="sObject"><type>Widget__c</type><Id>{first}</Id><Id>{first}</Id>'
        f'<Text__c>say "x"</Text__c><Firm__r xsi:type="sObject"><type>Account</type><Id {nil}/>'
        '<Name>Acme &lt;&amp;&gt; "Co"</Name></Firm__r></records>\n'
        f'<records xsi:type="sObject"><type>Widget__c</type><Id>{second}</Id><Id>{second}</Id>'
        f"<Text__c {nil}/><Firm__r {nil}/></records>\n</queryResult>"
    )
    assert len(xml_of(answer.text)) == 2


@pytest.mark.parametrize(
    ("content_type", "expected"), [("CSV", "Records not found for this query"), ("JSON", "[]"), ("XML", None)]
)
def test_a_query_without_rows_has_a_file_that_says_so(
    shared: Bulk1Org, content_type: str, expected: str | None
) -> None:
    answer = shared.query("SELECT Id FROM Widget__c WHERE Name = 'nobody'", content_type=content_type)
    if expected is None:
        assert len(xml_of(answer.text)) == 0
    else:
        assert answer.text == expected


@pytest.mark.parametrize(("content_type", "told_in"), [("CSV", "application/xml"), ("JSON", "application/json")])
def test_the_list_of_results_names_one_file_of_fifteen_characters(
    shared: Bulk1Org, content_type: str, told_in: str
) -> None:
    shared.query("SELECT Id FROM Widget__c", content_type=content_type)
    [result_id] = shared.wait()[-1].result_ids
    listed = shared.result()
    assert listed.headers["Content-Type"] == told_in
    assert (len(result_id), result_id[:3]) == (15, "752")
    if content_type == "JSON":
        assert listed.json() == [result_id]
    else:
        prolog = '<?xml version="1.0" encoding="UTF-8"?>'
        assert listed.text == f'{prolog}<result-list xmlns="{NAMESPACE}"><result>{result_id}</result></result-list>'
    other = shared.http.get(f"job/{shared.job_id}/batch/{shared.batch_id}/result/752000000000000")
    assert error_of(other)[:2] == (400, "InvalidBatch")


def test_query_all_finds_deleted_rows_too() -> None:
    with bulk1_org() as org:
        org.load("insert", "Name\nA\nB\n")
        org.load("delete", f"Id\n{ids(org)[0]}\n")
        soql = "SELECT Name, IsDeleted FROM Widget__c"
        assert org.query(soql).text == '"Name","IsDeleted"\n"B","false"\n'
        assert org.query(soql, operation="queryAll").text == '"Name","IsDeleted"\n"A","true"\n"B","false"\n'


OTHER_ROOT = (
    "The root entity of the requested query (Contact) does not match the entity of the requested Bulk API Job "
    "(Account)."
)
NO_COLUMN = (
    "No such column 'BadField' on entity 'Account'. If you are attempting to use a custom field, be sure to append the "
    "'__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
)


@pytest.mark.parametrize(
    ("soql", "message"),
    [
        ("SELECT COUNT(Id) FROM Widget__c", None),
        ("SELECT COUNT() FROM Widget__c", None),
        ("SELECT Name FROM Widget__c OFFSET 1", None),
        (
            "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
            "FUNCTIONALITY_NOT_ENABLED: Aggregate Relationships not supported in Bulk Query",
        ),
        (
            "SELECT BillingAddress FROM Account",
            "FUNCTIONALITY_NOT_ENABLED: Selecting compound data not supported in Bulk Query",
        ),
        (
            "SELECT Id FROM Contact",
            f"INVALID_TYPE_FOR_OPERATION: {OTHER_ROOT}",
        ),
        (
            "SELECT Id, BadField FROM Account",
            f"INVALID_FIELD: \nSELECT Id, BadField FROM Account\n           ^\nERROR at Row:1:Column:12\n{NO_COLUMN}",
        ),
        ("SELEKT", "MALFORMED_QUERY: unexpected token: SELEKT"),
    ],
)
def test_a_query_that_cannot_be_answered_fails_its_batch(shared: Bulk1Org, soql: str, message: str | None) -> None:
    shared.create("query", "Account" if message else "Widget__c")
    batch = shared.run(soql)
    assert (batch.state, batch.result_ids) == ("Failed", [])
    assert (batch.message or "").startswith("InvalidBatch : Failed to process query: ")
    assert message is None or batch.message == f"InvalidBatch : Failed to process query: {message}"
    assert error_of(shared.result()) == (400, "InvalidBatch", "Records not processed")


# PK chunking.


@pytest.fixture(scope="module")
def many() -> Iterator[Bulk1Org]:
    with bulk1_org() as org:
        org.load("insert", "Name,Count__c\n" + "".join(f"N{at},{at}\n" for at in range(25)))
        org.load("delete", f"Id\n{ids(org)[24]}\n")
        yield org


def chunked(org: Bulk1Org, soql: str, header: str = "chunkSize=10") -> list[Batch]:
    org.create("query", **{"Sforce-Enable-PKChunking": header})
    org.add(soql)
    return org.wait()


def submitted(org: Bulk1Org, batch: Batch) -> str:
    return org.http.get(f"job/{org.job_id}/batch/{batch.id}/request").text


@pytest.mark.parametrize(
    ("soql", "condition", "rows"),
    [
        ("SELECT Name FROM Widget__c", "SELECT Name FROM Widget__c WHERE ", [10, 10, 4]),
        (
            "select Name from Widget__c where Count__c<12 ",
            "select Name from Widget__c where Count__c<12 AND ",
            [10, 2, 0],
        ),
        (
            "SELECT Name FROM Widget__c WHERE Name='N1' OR Count__c=20",
            "SELECT Name FROM Widget__c WHERE (Name = 'N1' OR Count__c = 20) AND ",
            [1, 0, 1],
        ),
    ],
)
def test_pk_chunking_replaces_a_batch_by_ranges_of_ids(
    many: Bulk1Org, soql: str, condition: str, rows: list[int]
) -> None:
    original, *chunks = chunked(many, soql)
    assert (original.state, original.processed, submitted(many, original)) == ("NotProcessed", 0, soql)
    assert error_of(many.result()) == (400, "InvalidBatch", "Records not processed")
    assert [(chunk.state, chunk.processed) for chunk in chunks] == [("Completed", count) for count in rows]
    bounds = [submitted(many, chunk).removeprefix(condition).split("'") for chunk in chunks]
    assert [(one[0], one[2], one[4]) for one in bounds] == [("Id >= ", " AND Id < ", "")] * 3
    starts = [one[:15] for one in ids(many)[::10]]
    assert [(one[1], one[3]) for one in bounds[:2]] == list(itertools.pairwise(starts))
    assert bounds[2][1] == starts[2]
    files = [many.http.get(f"job/{many.job_id}/batch/{one.id}/result/{one.result_ids[0]}").text for one in chunks]
    names = [line for file in files for line in file.splitlines()[1:]]
    assert len(names) == len(set(names)) == sum(rows)


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Name FROM Widget__c ORDER BY Name",
        "SELECT Name FROM Widget__c LIMIT 24",
        f"SELECT Name FROM Widget__c WHERE Id != '{'0' * 15}'",
        "SELECT Name FROM Widget__c WHERE NOT (CreatedById = null AND Name = 'x')",
    ],
)
def test_some_clauses_keep_a_query_whole(many: Bulk1Org, soql: str) -> None:
    assert [(batch.state, batch.processed) for batch in chunked(many, soql)] == [("Completed", 24)]


@pytest.mark.parametrize(
    ("header", "batches"),
    [
        ("TRUE", 2),
        ("true; chunkSize=20", 3),
        ("FALSE", 1),
        ("chunkSize=20;", 3),
        ("chunkSize=20; parent=Account; startRow={start}", 2),
    ],
)
def test_the_header_of_pk_chunking_has_many_forms(many: Bulk1Org, header: str, batches: int) -> None:
    header = header.format(start=ids(many)[20][:15])
    assert len(chunked(many, "SELECT Name FROM Widget__c", header)) == batches


@pytest.mark.parametrize("header", ["chunkSize=0", "chunkSize=250001", "chunkSize=many", "yes", "sorted=1"])
def test_other_values_of_the_header_are_refused(many: Bulk1Org, header: str) -> None:
    refused = many.create("query", **{"Sforce-Enable-PKChunking": header})
    assert error_of(refused) == (400, "InvalidJob", f"Invalid value for Sforce-Enable-PKChunking: {header}")


def test_objects_that_cannot_be_chunked_fail_their_batch(many: Bulk1Org) -> None:
    many.create("query", "Profile", **{"Sforce-Enable-PKChunking": "TRUE"})
    batch = many.run("SELECT Id FROM Profile")
    assert (batch.state, "PK chunking is not supported for Profile" in (batch.message or "")) == ("Failed", True)


def test_an_object_without_rows_needs_no_chunks() -> None:
    with bulk1_org() as org:
        [batch] = chunked(org, "SELECT Id FROM Widget__c")
        assert (batch.state, batch.processed) == ("Completed", 0)


def test_chunks_count_as_batches_of_the_day() -> None:
    with bulk1_org(daily_batches=4) as org:
        org.org.clock.set(NOON)
        org.load("insert", "Name\nA\nB\nC\n")
        [batch] = chunked(org, "SELECT Name FROM Widget__c", "chunkSize=1")
        assert (batch.state, batch.message) == ("Failed", "ExceededQuota : ApiBatchItems Limit exceeded.")
        assert error_of(org.add("SELECT Name FROM Widget__c")) == (
            *(400, "ExceededQuota"),
            "ApiBatchItems Limit exceeded.",
        )


def test_json_of_a_query_is_json_of_its_records(shared: Bulk1Org) -> None:
    rest = shared.org.url + "/services/data/v62.0/query"
    headers = {"Authorization": f"Bearer {shared.org.credentials.access_token}"}
    soql = "SELECT Id, Name, Owner.Name, Firm__r.Name FROM Widget__c"
    by_rest = shared.http.get(rest, params={"q": soql}, headers=headers).json()["records"]
    assert json.loads(shared.query(soql, content_type="JSON").text) == by_rest


@pytest.mark.parametrize(
    ("content_type", "read"),
    [
        ("CSV", lambda text: [row["Name"] for row in csv.DictReader(io.StringIO(text))]),
        ("JSON", lambda text: [one["Name"] for one in json.loads(text)]),
        ("XML", lambda text: [one.text for one in xml_of(text).iter(f"{{{NAMESPACE}}}Name")]),
    ],
)
def test_a_large_result_comes_in_several_files_that_are_whole_documents(
    content_type: str, read: Callable[[str], list[str]]
) -> None:
    with bulk1_org(result_file_rows=3) as org:
        org.load("insert", "Name\n" + "".join(f"row {number:02}\n" for number in range(8)))
        org.create("query", content_type=content_type)
        batch = org.run("SELECT Name FROM Widget__c ORDER BY Name")
        assert (batch.state, batch.processed, len(batch.result_ids)) == ("Completed", 8, 3)
        listed = org.result()
        ids = listed.json() if content_type == "JSON" else [one.text for one in xml_of(listed.text)]
        assert ids == batch.result_ids
        files = [org.http.get(f"job/{org.job_id}/batch/{org.batch_id}/result/{one}").text for one in ids]
        assert [read(text) for text in files] == [
            [f"row {number:02}" for number in numbers] for numbers in (range(3), range(3, 6), range(6, 8))
        ]


def test_a_result_of_more_than_fifteen_files_fails_its_batch() -> None:
    with bulk1_org(result_file_rows=1) as org:
        org.load("insert", "Name\n" + "row\n" * 16)
        org.create("query")
        batch = org.run("SELECT Name FROM Widget__c")
        assert (batch.state, batch.message) == ("Failed", "InternalServerError : Retried more than fifteen times")
        assert org.run("SELECT Name FROM Widget__c LIMIT 15").state == "Completed"
