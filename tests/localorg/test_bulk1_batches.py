"""Batches of Bulk API 1.0 that write rows: what CSV, JSON and XML mean, and results in the order of the input."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.localorg.bulk1_org import NAMESPACE, Bulk1Org, bulk1_org, error_of, xml_of

TOO_LONG = (
    "Exceeded max length for one record: 400004. Max length for one record should be less than or equal to 400000"
)

XSI = "http://www.w3.org/2001/XMLSchema-instance"
AT_MOST = "Number of records should be less than or equal to"
HEAD = '"Id","Success","Created","Error"\n'


@pytest.fixture(scope="module")
def shared() -> Iterator[Bulk1Org]:
    with bulk1_org() as org:
        yield org


@pytest.fixture
def org(shared: Bulk1Org) -> Iterator[Bulk1Org]:
    yield shared
    shared.org.reset()


def ids(org: Bulk1Org) -> list[str]:
    return [row[0] for row in org.rows("Id")]


def sobjects(*rows: str) -> str:
    inner = "".join(f"<sObject>{row}</sObject>" for row in rows)
    return f'<?xml version="1.0" encoding="UTF-8"?><sObjects xmlns="{NAMESPACE}" xmlns:xsi="{XSI}">{inner}</sObjects>'


def test_csv_results_come_in_the_order_of_the_input(org: Bulk1Org) -> None:
    told = org.load("insert", 'Name,text__c,Count__c\nA,x,1\nB,far too long a text,2\n"C ""q""",,x\nD,y,\n')
    first, second = ids(org)
    assert told == (
        f'{HEAD}"{first}","true","true",""\n'
        '"","false","false","STRING_TOO_LONG:Text: data value too large: far too long a text '
        '(max length=10):Text__c --"\n'
        '"","false","false","INVALID_FIELD:Failed to deserialize field at col 2. Due to, \'x\' is not a valid value '
        'for the type xsd:int:Count__c --"\n'
        f'"{second}","true","true",""\n'
    )
    assert org.rows("Name", "Text__c", "Count__c") == [("A", "x", 1), ("D", "y", None)]
    assert org.result().headers["Content-Type"] == "text/csv"


def test_an_update_clears_by_its_mark_and_leaves_what_is_empty(org: Bulk1Org) -> None:
    org.load("insert", "Text__c,Count__c\na,1\nb,2\n")
    first, second = ids(org)
    gone = first[:-4] + "z" + first[-3:]
    told = org.load("update", f'Id,Text__c,Count__c\n{second},#N/A,\n{first[:15]},"",7\n001000000000001AAA,x,1\n')
    assert told.splitlines()[1:3] == [f'"{second}","true","false",""', f'"{first}","true","false",""']
    assert told.splitlines()[3].startswith('"001000000000001AAA","false","false","MALFORMED_ID:')
    assert org.rows("Text__c", "Count__c") == [("a", 7), (None, 2)]
    assert gone not in told


def test_an_upsert_tells_created_from_updated(org: Bulk1Org) -> None:
    org.load("insert", "Ext__c,Text__c\nK1,a\n")
    told = org.load("upsert", "Ext__c,Text__c\nk1,b\nK2,c\n,d\n", externalIdFieldName="Ext__c")
    first, second = ids(org)
    blank = "MISSING_ARGUMENT:External ID was blank for Widget__c. An External ID must be specified for upsert.:--"
    assert told == f'{HEAD}"{first}","true","false",""\n"{second}","true","true",""\n"","false","false","{blank}"\n'
    # recorded (CumulusCI): an upsert by Id creates the rows that have none
    told = org.load("upsert", f'"Text__c","Id"\r\n"e","{first}"\r\n"f",""\r\n', externalIdFieldName="Id")
    assert told == f'{HEAD}"{first}","true","false",""\n"{ids(org)[2]}","true","true",""\n'


def test_deletes_take_ids_alone(org: Bulk1Org) -> None:
    org.load("insert", "Text__c\na\nb\nc\n")
    first, second, third = ids(org)
    told = org.load("delete", f"Id\n{second}\n{second}\n")
    assert (
        told
        == f'{HEAD}"{second}","true","false",""\n"{second}","false","false","ENTITY_IS_DELETED:entity is deleted:--"\n'
    )
    assert org.load("hardDelete", f'[{{"Id":"{third}"}}]', content_type="JSON") == (
        f'[{{"success":true,"created":false,"id":"{third}","errors":[]}}]'
    )
    assert org.org.table("Widget__c", deleted=True)["Id"].to_list() == [first, second]
    org.create("delete")
    assert org.run(f"Id,Text__c\n{first},x\n").message == "InvalidBatch : The 'delete' batch must contain only ids"


def test_a_hard_delete_needs_a_permission() -> None:
    with bulk1_org(hard_delete_allowed=False) as org:
        refused = org.create("hardDelete")
        assert (refused.status_code, "FeatureNotEnabled" in refused.text) == (400, True)


def test_json_rows_may_have_different_members(org: Bulk1Org) -> None:
    org.org.insert("Account", org.org.sql("SELECT 'Acme' AS Name"))
    rows = [
        {"Name": "A", "Flag__c": True, "Amount__c": 1.005, "Moment__c": "2026-01-02T03:04:05.678+01:00"},
        {"attributes": {"type": "Widget__c"}, "name": "B", "text__C": "#N/A", "Ext__c": "P"},
        {"Text__c": "far too long a text", "Mail__c": "x"},
        {"Name": None, "Day__c": "2026-02-03", "Count__c": 12, "Text__c": ""},
        {},
    ]
    told = json.loads(org.load("insert", json.dumps(rows), content_type="JSON"))
    words = "Text: data value too large: far too long a text (max length=10)"
    error = {"message": words, "fields": ["Text__c"], "statusCode": "STRING_TOO_LONG", "extendedErrorDetails": None}
    expected = [{"success": True, "created": True, "id": one, "errors": []} for one in ids(org)]
    expected.insert(2, {"success": False, "created": False, "id": None, "errors": [error]})
    assert told == expected
    assert org.rows("Flag__c", "Amount__c", "Text__c", "Day__c", "Count__c") == [
        (True, 1.01, None, None, None),
        (False, None, "#N/A", None, None),
        (False, None, None, dt.date(2026, 2, 3), 12),
        (False, None, None, None, None),
    ]
    assert org.rows("Name")[:2] == [("A",), ("B",)]


def test_json_null_clears_and_a_missing_member_leaves_alone(org: Bulk1Org) -> None:
    org.load("insert", '[{"Text__c":"a","Count__c":1,"Ext__c":"P"},{"Text__c":"b","Count__c":2}]', content_type="JSON")
    first, second = ids(org)
    changes = [
        {"Id": first, "Text__c": None},
        {"Id": second, "Count__c": 3, "Parent__r": {"Ext__c": "P"}},
        {"Id": None, "Text__c": "x"},
    ]
    told = json.loads(org.load("update", json.dumps(changes), content_type="JSON"))
    assert [(one["id"], one["success"]) for one in told] == [(first, True), (second, True), (None, False)]
    assert told[2]["errors"][0]["message"] == "Id not specified in an update call"
    assert org.rows("Text__c", "Count__c", "Parent__c") == [(None, 1, None), ("b", 3, first)]


def test_xml_rows_with_nil_parents_and_results(org: Bulk1Org) -> None:
    rows = sobjects(
        "<Name>A</Name><ext__c>P</ext__c><Text__c>x &lt; y</Text__c>",
        '<name>B</name><Text__c xsi:nil="true"/><Parent__r><sObject><Ext__c>Q</Ext__c></sObject></Parent__r>',
        "<Name>C</Name><Text__c/><Count__c>1</Count__c>",
    )
    told = org.load("insert", rows, content_type="XML")
    first, third = ids(org)
    root = xml_of(told)
    assert root.tag == f"{{{NAMESPACE}}}results"
    plain = [{one.tag.rpartition("}")[2]: (one.text or "").strip() for one in result} for result in root]
    assert plain == [
        {"id": first, "success": "true", "created": "true"},
        {"errors": "", "success": "false", "created": "false"},
        {"id": third, "success": "true", "created": "true"},
    ]
    error = {one.tag.rpartition("}")[2]: one.text for one in root[1][0]}
    words = "Foreign key external ID: Q not found for field Ext__c in entity Widget__c"
    assert error == {"message": words, "statusCode": "INVALID_FIELD"}
    assert org.rows("Name", "Text__c", "Count__c") == [("A", "x < y", None), ("C", None, 1)]
    nil = sobjects(f'<Id>{first}</Id><Text__c xsi:nil="true"/>', f"<Id>{third}</Id><Count__c></Count__c>")
    org.load("update", nil, content_type="XML")
    assert org.rows("Text__c", "Count__c") == [(None, None), (None, 1)]


def test_polymorphic_parents_are_named_with_their_object(org: Bulk1Org) -> None:
    told = json.loads(
        org.load(
            "insert",
            '[{"Subject":"s","Who":{"attributes":{"type":"Contact"},"Email":"nobody@example.com"}}]',
            obj="Task",
            content_type="JSON",
        )
    )
    assert told[0]["errors"][0]["message"] == (
        "Foreign key external ID: nobody@example.com not found for field Email in entity Contact"
    )


@pytest.mark.parametrize(
    ("content_type", "content", "message"),
    [
        ("CSV", "Name,Nme\nA,B\n", "InvalidBatch : Field name not found : Nme"),
        ("CSV", "Name,name\nA,B\n", "InvalidBatch : Duplicate field name found : name"),
        ("CSV", '"Name\nA\n', "InvalidBatch : EOF reached before closing an opened quote"),
        (
            "CSV",
            'Name\nA "b" c\n',
            "InvalidBatch : Found unescaped quote. A value with quote should be within a quote",
        ),
        (
            "CSV",
            "Long__c,Text__c,Name,Ext__c\n" + ",".join(["x" * 100_001] * 4) + "\n",
            f"InvalidBatch : {TOO_LONG}",
        ),
        (
            "CSV",
            f"Long__c,Name\n{'x' * 131_073},y\n",
            "InvalidBatch : Exceeded max field size: 131073",
        ),
        (
            "CSV",
            ",".join(f"F{at}" for at in range(5_001)),
            "InvalidBatch : Exceeded max number of columns per record : 5000",
        ),
        (
            "CSV",
            "Name\n" + "x\n" * 10_001,
            f"InvalidBatch : Exceeded number of records : 10002. {AT_MOST} 10001",
        ),
        ("JSON", "[", "InvalidBatch : Failed to parse JSON: Expecting value: line 1 column 2 (char 1)"),
        ("JSON", "{}", "InvalidBatch : Failed to parse JSON: the batch has to be an array of objects"),
        ("JSON", '[{"Name":NaN}]', "InvalidBatch : Failed to parse JSON: NaN is no JSON"),
        ("JSON", '[{"Name":1,"NAME":2}]', "InvalidBatch : Duplicate field name found : NAME"),
        ("JSON", '[{"Nme":1}]', "InvalidBatch : Field name not found : Nme"),
        (
            "JSON",
            '[{"Name":["a"]}]',
            "InvalidBatch : Failed to parse JSON: Cannot deserialize a field from START_ARRAY token",
        ),
        (
            "JSON",
            '[{"Parent__r":{"Ext__c":"a","Id":"b"}}]',
            "InvalidBatch : More than 1 field provided in an external foreign key reference in entity: Parent__r",
        ),
        ("XML", "<sObjects>", "InvalidXML : no element found: line 1, column 10"),
        ("XML", "<rows/>", "InvalidXML : sObjects expected instead of rows"),
        ("XML", "<sObjects><row/></sObjects>", "InvalidXML : sObject expected instead of row"),
        ("XML", sobjects("<Name>a</Name><Name>b</Name>"), "InvalidBatch : Duplicate field name found : Name"),
        ("XML", '<!DOCTYPE a [<!ENTITY b "c">]><sObjects>&b;</sObjects>', "InvalidXML : DOCTYPE is not allowed"),
    ],
)
def test_what_fails_as_a_whole_says_why_and_saves_nothing(
    org: Bulk1Org, content_type: str, content: str, message: str
) -> None:
    org.create("insert", content_type=content_type)
    batch = org.run(content)
    assert (batch.state, batch.message, batch.processed, batch.failed) == ("Failed", message, 0, 0)
    told = org.result()
    assert (told.status_code, "Records not processed" in told.text) == (400, True)
    assert org.rows("Name") == []


def test_a_failed_batch_leaves_the_others_of_its_job_alone(org: Bulk1Org) -> None:
    org.create("insert")
    org.run("Nme\nA\n")
    assert org.run("Name\nA\n").state == "Completed"
    document = org.close_job().text
    for member in ("<numberBatchesCompleted>1<", "<numberBatchesFailed>1<", "<numberBatchesTotal>2<"):
        assert member in document
    assert "<numberRecordsProcessed>1<" in document


def test_line_ends_are_taken_in_any_form_and_stored_as_asked(org: Bulk1Org) -> None:
    org.load("insert", 'Long__c,Name\r\n"a\r\nb",A\n\n"c\nd",B\r\n')
    org.load("insert", 'Long__c,Name\n"a\r\nb",C\n', **{"Sforce-Line-Ending": "CRLF"})
    assert org.rows("Name", "Long__c") == [("A", "a\nb"), ("B", "c\nd"), ("C", "a\r\nb")]


def test_content_may_have_a_charset_of_its_own(org: Bulk1Org) -> None:
    org.create("insert")
    org.run("Name\nMüller\n".encode("iso-8859-1"), "text/csv; charset=ISO-8859-1")
    org.run("Name\nŁódź\n".encode(), "text/csv; charset=UTF-8")
    assert org.rows("Name") == [("Müller",), ("Łódź",)]


SPEC = (
    "Salesforce Field,Csv Header,Value,Hint\n"
    "Text__c,Label,none,\nExt__c,Key,,\nColour__c,,red,\nDay__c,When,,dd MM yy\nFlag__c,Sure,,^(yes|aye)$\n"
)


def test_a_spec_maps_columns_values_and_formats(org: Bulk1Org) -> None:
    org.create("insert")
    taken = org.post(f"job/{org.job_id}/spec", SPEC, "text/csv; charset=UTF-8")
    assert (taken.status_code, taken.content) == (201, b"")
    assert error_of(org.post(f"job/{org.job_id}/spec", SPEC, "text/csv"))[:2] == (400, "InvalidJobState")
    batch = org.run('Key,Label,When,Sure,Comment\nK1,,02 03 26,aye,x\nK2,"a, b",3 4 26,no,y\nK3,c,then,,z\n')
    assert (batch.state, batch.processed, batch.failed) == ("Completed", 3, 1)
    assert "'then' is not a valid value for the type xsd:date" in org.result().text.splitlines()[3]
    assert org.rows("Ext__c", "Text__c", "Colour__c", "Day__c", "Flag__c") == [
        ("K1", "none", "red", dt.date(2026, 3, 2), True),
        ("K2", "a, b", "red", dt.date(2026, 4, 3), False),
    ]
    assert org.run("Key,Label,When\nK4,d,\n").message == "InvalidBatch : Field name not found : Sure"


def test_a_spec_splits_the_names_of_persons(org: Bulk1Org) -> None:
    org.create("insert", "Contact")
    org.post(f"job/{org.job_id}/spec", "Salesforce Field,Csv Header,Value,Hint\nName,Full Name,,\n", "text/csv")
    org.run('Full Name\n"Cat, Tom"\nJerry Mouse\nSpike\n')
    assert org.org.table("Contact").select("FirstName", "LastName").rows() == [
        ("Tom", "Cat"),
        ("Jerry", "Mouse"),
        (None, "Spike"),
    ]


def test_specs_that_are_none_are_refused(org: Bulk1Org) -> None:
    org.create("insert")
    place = f"job/{org.job_id}/spec"
    assert error_of(org.post(place, "Field,Header\nName,N\n", "text/csv"))[:2] == (400, "InvalidJob")
    assert error_of(org.post(place, SPEC + "x" * 8_192, "text/csv"))[:2] == (400, "ClientInputError")
    org.create("insert", content_type="XML")
    assert error_of(org.post(f"job/{org.job_id}/spec", SPEC, "text/csv"))[:2] == (400, "InvalidJob")


def test_a_full_batch_of_ten_thousand_rows_is_taken(org: Bulk1Org) -> None:
    told = org.load("insert", "Ext__c,Name\n" + "".join(f"K{at},N\n" for at in range(10_000)))
    lines = told.splitlines()
    assert len(lines) == 10_001
    by_id = dict(org.rows("Id", "Ext__c"))
    assert [by_id[line.split('"')[1]] for line in lines[1:]] == [f"K{at}" for at in range(10_000)]


# What the service stores: blanks at the ends are cut, and an empty text is none.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).map(str.strip).filter(bool)


@settings(max_examples=15)
@given(rows=st.lists(st.tuples(TEXTS, st.integers(-9999, 9999)), min_size=1, max_size=6))
def test_any_text_arrives_by_all_three_formats(shared: Bulk1Org, rows: list[tuple[str, int]]) -> None:
    shared.org.reset()
    table = "Text__c,Count__c\n" + "".join('"{}",{}\n'.format(text.replace('"', '""'), n) for text, n in rows)
    shared.load("insert", table)
    shared.load("insert", json.dumps([{"Text__c": text, "Count__c": n} for text, n in rows]), content_type="JSON")
    root = ET.Element("sObjects", xmlns=NAMESPACE)
    for text, n in rows:
        row = ET.SubElement(root, "sObject")
        ET.SubElement(row, "Text__c").text = text
        ET.SubElement(row, "Count__c").text = str(n)
    shared.load("insert", ET.tostring(root, "unicode"), content_type="XML")
    marked = [(None if text == "#N/A" else text, n) for text, n in rows]  # only CSV knows the mark
    assert shared.rows("Text__c", "Count__c") == marked + rows + rows
    shared.org.reset()
