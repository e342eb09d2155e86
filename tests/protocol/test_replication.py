"""Deletes and the org's clock: requests and answers as bytes (rest.md 7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from sfframe.errors import ApiError
from sfframe.protocol import replication
from sfframe.protocol.call import Reply
from sfframe.protocol.error_body import answer

START = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
BODY = (
    b'{"deletedRecords":[{"deletedDate":"2026-03-04T05:07:19.000+0000","id":"001AB0000000001AAA"}],'
    b'"earliestDateAvailable":"2026-02-17T05:00:00.000+0000","latestDateCovered":"2026-03-04T05:20:00.000+0000"}'
)


def test_the_span_of_deletes_is_named_with_its_zone():
    call = replication.deleted("Ext Obj__c", START, START.astimezone(timezone(timedelta(hours=1))))
    assert (call.method, call.path, call.repeatable) == ("GET", "sobjects/Ext%20Obj__c/deleted", True)
    assert call.query == (("start", "2026-03-04T05:06:07+00:00"), ("end", "2026-03-04T06:06:07+01:00"))


def test_deletes_are_read_with_what_the_org_covers():
    assert answer(replication.deleted("Account", START, START), Reply(200, {}, BODY)) == replication.Deleted(
        ({"deletedDate": "2026-03-04T05:07:19.000+0000", "id": "001AB0000000001AAA"},),
        datetime(2026, 2, 17, 5, tzinfo=UTC),
        datetime(2026, 3, 4, 5, 20, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        BODY.replace(b"latestDateCovered", b"latest"),
        BODY.replace(b"2026-02-17T05:00:00.000+0000", b"never"),
        BODY.replace(b"2026-02-17T05:00:00.000+0000", b"2026-02-17T05:00:00"),
    ],
)
def test_an_answer_that_is_none_is_an_error(body):
    with pytest.raises(ApiError):
        answer(replication.deleted("Account", START, START), Reply(200, {}, body))


@pytest.mark.parametrize(
    ("headers", "now"),
    [
        ({"date": "Wed, 04 Mar 2026 05:06:07 GMT"}, START),
        ({"date": "Wed, 04 Mar 2026 06:06:07 +0100"}, START),
        ({"date": "yesterday"}, None),
        ({}, None),
    ],
)
def test_the_clock_of_the_org_is_the_date_of_its_answer(headers, now):
    call = replication.clock()
    assert (call.method, call.path) == ("GET", "")
    assert answer(call, Reply(200, headers, b"{}")) == now
