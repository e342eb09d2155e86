"""Query plans: the call, and what the org answers (the guide's own example, rest.md 5)."""

import pytest

from sfframe.protocol.call import Reply
from sfframe.protocol.json_body import UnreadableAnswer
from sfframe.protocol.query_plan import QueryPlan, plans

ANSWER = b"""{"plans":[{"cardinality":1,"fields":["Name"],"leadingOperationType":"TableScan","notes":[{"description":
"Not considering filter for optimization because unindexed","fields":["IsDeleted"],"tableEnumOrId":"Merchandise__c"},
{"description":"Sharing","fields":[],"tableEnumOrId":"Merchandise__c"}],"relativeCost":1.3,"sobjectCardinality":3,
"sobjectType":"Merchandise__c"}],"sourceQuery":"SELECT Id FROM Merchandise__c"}"""


def test_a_plan_is_asked_for_by_explain_and_runs_nothing():
    call = plans("SELECT Id FROM Account")
    assert (call.method, call.path, call.query) == ("GET", "query", (("explain", "SELECT Id FROM Account"),))
    assert call.repeatable


def test_a_plan_says_how_the_org_would_find_the_rows():
    found = plans("SELECT Id FROM Merchandise__c").read(Reply(200, {}, ANSWER))
    notes = ("Not considering filter for optimization because unindexed (IsDeleted)", "Sharing")
    assert found == (QueryPlan("TableScan", "Merchandise__c", 1, 3, 1.3, ("Name",), notes),)


def test_a_plan_without_a_cost_is_not_understood():
    with pytest.raises(UnreadableAnswer):
        plans("SELECT Id FROM X").read(Reply(200, {}, ANSWER.replace(b"1.3", b"null")))
