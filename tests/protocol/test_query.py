"""Pages of REST queries: the head is read, the body stays bytes."""

import pytest

from sfframe.errors import UsageError
from sfframe.protocol.call import Reply
from sfframe.protocol.json_body import UnreadableAnswer
from sfframe.protocol.query import QueryPage, fits_in_uri, query, query_more, read_page, records

NEXT = "/services/data/v66.0/query/0r8xx2kLxPgVdZiAUK-2000"


def page(body: str) -> QueryPage:
    return read_page(Reply(200, {}, body.encode()))


def test_a_query_is_a_get_with_the_text_in_the_query_string():
    call = query("SELECT Id FROM Account", batch_size=500)
    assert (call.method, call.path, call.query) == ("GET", "query", (("q", "SELECT Id FROM Account"),))
    assert dict(call.headers) == {"Sforce-Query-Options": "batchSize=500"}
    assert query("SELECT Id FROM Account", include_deleted=True).path == "queryAll"


@pytest.mark.parametrize(
    "body",
    [
        f'{{"totalSize":3222,"done":false,"nextRecordsUrl":"{NEXT}","records":[{{"Id":"1"}}]}}',
        f'{{\n "totalSize" : 3222,\n "done" : false,\n "nextRecordsUrl" : "{NEXT}",\n "records" : [ {{ }} ]\n}}',
        f'{{"records":[{{"Id":"1"}}],"done":false,"nextRecordsUrl":"{NEXT}","totalSize":3222}}',
        f'{{"done":false,"totalSize":3222,"records":[{{"Id":"1"}}],"nextRecordsUrl":"{NEXT}"}}',
    ],
)
def test_total_done_and_next_are_found_wherever_they_stand(body):
    assert page(body) == QueryPage(3222, False, NEXT, body.encode())


def test_only_the_head_is_parsed_when_it_says_all():
    body = '{"totalSize":1,"done":true,"records":[this is never parsed'
    assert page(body) == QueryPage(1, True, None, body.encode())


def test_a_count_has_a_total_and_no_records():
    assert page('{"totalSize":17,"done":true,"records":[]}').total_size == 17


@pytest.mark.parametrize("body", ["{}", "[]", "<html>", '{"totalSize":1,"done":false,"records":[]}', ""])
def test_what_is_no_page_is_refused(body):
    with pytest.raises(UnreadableAnswer):
        page(body)


def test_the_next_page_is_taken_from_the_root_of_the_host():
    assert query_more(NEXT).path == NEXT
    with pytest.raises(UsageError):
        query_more("https://elsewhere.example.com/x")


def test_a_query_that_is_too_long_for_an_address_is_refused_before_it_is_sent():
    long = f"SELECT Id FROM Account WHERE Name IN ({','.join(['x'] * 9_000)})"
    assert not fits_in_uri(long)
    with pytest.raises(UsageError, match="bulk query"):
        query(long)


def test_records_come_without_their_attributes():
    body = b'{"totalSize":1,"done":true,"records":[{"attributes":{"type":"Organization"},"Name":"Acme"}]}'
    assert records("SELECT Name FROM Organization").read(Reply(200, {}, body)) == ({"Name": "Acme"},)


def test_records_of_more_than_one_page_are_refused():
    with pytest.raises(UnreadableAnswer):
        records("SELECT Name FROM Account").read(Reply(200, {}, b'{"totalSize":9,"done":false,"records":[]}'))
