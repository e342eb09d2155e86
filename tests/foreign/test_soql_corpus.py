"""An independent SOQL parser as a witness of ours: what it takes we take, with the same meaning, and the other way.

The published package has no test data in it. So queries written here, and queries that hypothesis puts together from
the grammar of rest.md 13.1, go through both parsers. The parser's own corpus lies in its repository only: where
SFFRAME_SOQL_CORPUS names the folder ``test`` of a checkout, it is run as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfframe.errors import SoqlSyntaxError
from sfframe.soql import parse, to_text
from sfframe.soql.literals import DATE_LITERALS, DATE_LITERALS_N
from tests.foreign.node_packages import node_package

pytestmark = pytest.mark.slow

PACKAGE, VERSION = "@jetstreamapp/soql-parser-js", "6.3.1"
HERE = Path(__file__).parent
CORPUS = os.environ.get("SFFRAME_SOQL_CORPUS")


class OtherParser:
    """The other parser in a process of its own, which answers line by line."""

    def __init__(self, folder: Path) -> None:
        node = shutil.which("node") or "node"
        command = [node, str(HERE / "node" / "soql_parser.mjs"), str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, question: dict[str, str]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def parse(self, soql: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask({"soql": soql})
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.stdout is not None
        self._process.wait(timeout=60)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def other() -> Iterator[OtherParser]:
    parser = OtherParser(node_package(PACKAGE, VERSION))
    yield parser
    parser.close()


def refusal(soql: str) -> str | None:
    """Why our parser does not take the query; None where it does."""
    try:
        parse(soql)
    except SoqlSyntaxError as error:
        return error.problem
    return None


def printed(soql: str) -> str:
    """Our print of the query without the case of words and the blanks of lists; strings are compared by ``leaves``."""
    return to_text(parse(soql)).casefold().replace(", ", ",")


_WORDS = frozenset({"operator", "order", "nulls", "functionName"})
_LAYOUT = frozenset({"rawValue", "openParen", "closeParen", "isApexBindVariable"})


def leaves(tree: Any) -> Any:
    """The other parser's tree without layout: blanks, parentheses, the case of keywords, and what is the default.

    That parentheses are where they belong is seen by ``meaning``.
    """
    if isinstance(tree, dict):
        kept = {
            key: value.upper().replace("<>", "!=") if key in _WORDS and isinstance(value, str) else leaves(value)
            for key, value in tree.items()
            if key not in _LAYOUT
        }
        kept = {key: value for key, value in kept.items() if not (key == "order" and value == "ASC")}
        return kept or None  # the left side of NOT is None or nothing but parentheses
    if isinstance(tree, list):
        return [leaves(one) for one in tree]
    return tree


def assert_same_meaning(other: OtherParser, soql: str, *, printed_by_them: bool = True) -> None:
    """Their reading of the text, of our print of it, and our reading of their print of it all agree."""
    ours = to_text(parse(soql))
    theirs, theirs_of_ours = other.parse(soql), other.parse(ours)
    assert "error" not in theirs, (soql, theirs)
    assert "error" not in theirs_of_ours, (ours, theirs_of_ours)
    if printed_by_them and "error" not in other.parse(theirs["composed"]):
        assert printed(theirs["composed"]) == printed(soql)
        assert printed(theirs_of_ours["composed"]) == printed(soql)
    assert leaves(theirs_of_ours["tree"]) == leaves(theirs["tree"])


VALID = (
    """
SELECT Id FROM Account
select id, name from account
SELECT COUNT() FROM Account
SELECT COUNT() FROM Account WHERE Name LIKE 'a%'
SELECT Id, Owner.Name, Parent.Owner.Profile.Name FROM Account
SELECT Id FROM Account USING SCOPE mine
SELECT Id FROM Account WHERE Name = 'O\\'Neill'
SELECT Id FROM Account WHERE Name = ''
SELECT Id FROM Account WHERE Name LIKE '50\\%\\_%'
SELECT Id FROM Account WHERE A__c = 1 AND B__c = 2 AND C__c = 3
SELECT Id FROM Account WHERE A__c = 1 OR (B__c = 2 AND C__c = 3)
SELECT Id FROM Account WHERE (A__c = 1 OR B__c = 2) AND (C__c = 3 OR D__c = 4)
SELECT Id FROM Account WHERE NOT Name = 'x'
SELECT Id FROM Account WHERE (NOT (Name LIKE 'x%')) AND Rating = null
SELECT Id FROM Account WHERE NOT (A__c = 1 AND B__c = 2)
SELECT Id FROM Account WHERE A__c >= -3.5 AND B__c <= .5 AND C__c < 7 AND D__c > 0
SELECT Id FROM Account WHERE IsDeleted = true AND IsActive__c != FALSE
SELECT Id FROM Account WHERE CreatedDate > 2024-01-31T23:59:59Z
SELECT Id FROM Account WHERE CreatedDate > 2024-01-31T23:59:59.123+01:00
SELECT Id FROM Account WHERE Due__c = 2024-02-29
SELECT Id FROM Account WHERE CreatedDate = TODAY OR CreatedDate = LAST_N_DAYS:30
SELECT Id FROM Account WHERE CreatedDate < N_FISCAL_QUARTERS_AGO:2
SELECT Id FROM Account WHERE Amount__c > USD5000
SELECT Id FROM Account WHERE Name IN ('a', 'b', null)
SELECT Id FROM Account WHERE Name NOT IN ('a') AND A__c IN (1, 2, 3)
SELECT Id FROM Account WHERE Tags__c INCLUDES ('A;B', 'C') AND Tags__c EXCLUDES ('D')
SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact WHERE LastName LIKE 'A%')
SELECT Id FROM Account WHERE Id NOT IN (SELECT AccountId FROM Opportunity WHERE IsClosed = false)
SELECT Id, (SELECT Id, LastName FROM Contacts WHERE Email != null ORDER BY LastName LIMIT 5) FROM Account
SELECT Id, (SELECT Id FROM Contacts), (SELECT Id FROM Opportunities) FROM Account WHERE Name = 'x'
SELECT Account.Name, (SELECT Contact.LastName FROM Account.Contacts) FROM Account
SELECT TYPEOF What WHEN Account THEN Phone, Name WHEN Opportunity THEN Amount ELSE Name END FROM Event
SELECT Id, TYPEOF Who WHEN Contact THEN LastName END, Subject FROM Task
SELECT FIELDS(ALL) FROM Account LIMIT 200
SELECT FIELDS(STANDARD), Mine__c FROM Account
SELECT Name, COUNT(Id) FROM Account GROUP BY Name
SELECT Name n, COUNT(Id) total FROM Account GROUP BY Name HAVING COUNT(Id) > 1 ORDER BY COUNT(Id) DESC
SELECT MIN(Amount), MAX(Amount), AVG(Amount), SUM(Amount), COUNT_DISTINCT(StageName) FROM Opportunity
SELECT LeadSource, Rating, GROUPING(LeadSource) g, COUNT(Id) FROM Lead GROUP BY ROLLUP(LeadSource, Rating)
SELECT Type, BillingCountry, COUNT(Id) FROM Account GROUP BY CUBE(Type, BillingCountry)
SELECT CALENDAR_YEAR(CreatedDate), COUNT(Id) FROM Account GROUP BY CALENDAR_YEAR(CreatedDate)
SELECT HOUR_IN_DAY(convertTimezone(CreatedDate)), SUM(Amount) FROM Opportunity """
    """GROUP BY HOUR_IN_DAY(convertTimezone(CreatedDate))
SELECT Id FROM Account WHERE CALENDAR_YEAR(CreatedDate) = 2024
SELECT toLabel(Rating), FORMAT(AnnualRevenue) shown, convertCurrency(AnnualRevenue) FROM Account
SELECT FORMAT(convertCurrency(Amount)) shown FROM Opportunity
SELECT Name FROM Account WHERE DISTANCE(BillingAddress, GEOLOCATION(37.7, -122.4), 'mi') < 20
SELECT Name FROM Account ORDER BY DISTANCE(BillingAddress, GEOLOCATION(37.7, -122.4), 'km') DESC
SELECT Id FROM Account ORDER BY Name
SELECT Id FROM Account ORDER BY Name ASC NULLS FIRST, Owner.Name DESC NULLS LAST LIMIT 10 OFFSET 5
SELECT Id FROM Account LIMIT 0
SELECT Id FROM Account WITH SECURITY_ENFORCED
SELECT Title FROM KnowledgeArticleVersion WHERE PublishStatus = 'online' WITH DATA CATEGORY Geography__c ABOVE usa__c
SELECT Id FROM Account FOR VIEW
SELECT Id FROM Account FOR REFERENCE
SELECT Id FROM Account LIMIT 1 FOR UPDATE
SELECT Title FROM FAQ__kav UPDATE VIEWSTAT
SELECT Title FROM FAQ__kav UPDATE TRACKING
""".strip().splitlines()
)

INVALID = """
SELECT
SELECT FROM Account
SELECT Id
SELECT Id FROM
SELECT Id Name FROM Account extra words
SELEKT Id FROM Account
SELECT * FROM Account
SELECT Id, FROM Account
SELECT Id,, Name FROM Account
SELECT Id FROM Account;
SELECT Id FROM Account WHERE
SELECT Id FROM Account WHERE Name
SELECT Id FROM Account WHERE Name =
SELECT Id FROM Account WHERE = 'x'
SELECT Id FROM Account WHERE Name == 'x'
SELECT Id FROM Account WHERE Name = "x"
SELECT Id FROM Account WHERE Name = 'x
SELECT Id FROM Account WHERE Name IS NULL
SELECT Id FROM Account WHERE Name BETWEEN 1 AND 2
SELECT Id FROM Account WHERE (Name = 'x'
SELECT Id FROM Account WHERE Name = 'x')
SELECT Id FROM Account WHERE Name IN ()
SELECT Id FROM Account WHERE Name IN ('x',)
SELECT Id FROM Account WHERE Name NOT LIKE 'x'
SELECT Id FROM Account WHERE Name = 'x' AND
SELECT Id FROM Account WHERE Name = 'x' WHERE Id = null
SELECT Id FROM Account ORDER Name
SELECT Id FROM Account ORDER BY
SELECT Id FROM Account ORDER BY Name UP
SELECT Id FROM Account ORDER BY Name NULLS
SELECT Id FROM Account GROUP Name
SELECT Id FROM Account GROUP BY
SELECT Id FROM Account LIMIT
SELECT Id FROM Account LIMIT -1
SELECT Id FROM Account LIMIT 5 WHERE Name = 'x'
SELECT Id FROM Account OFFSET five
SELECT Id FROM Account WHERE Id IN (SELECT AccountId)
SELECT Id, (SELECT Id FROM Contacts FROM Account
SELECT TYPEOF What WHEN Account THEN Phone FROM Event
SELECT TYPEOF What THEN Phone END FROM Event
SELECT FIELDS(SOME) FROM Account
SELECT COUNT(Id FROM Account
SELECT Id FROM Account FOR EVER
UPDATE Account SET Name = 'x'
""".strip().splitlines()

# Where the two do not agree, and why ours is as it is.
ONLY_OURS = {
    "SELECT a.Id, o.Name FROM Account a, a.Owner o WHERE o.Name != null": "relations have aliases too (rest.md 13.1)",
    "SELECT Id FROM Account WHERE Amount__c > USD-3.50": "currency literals may be negative (rest.md 13.2)",
    "SELECT Id FROM Account WHERE At__c = 10:15:30.000Z": "time literals (rest.md 13.2)",
}
ONLY_THEIRS = {
    "SELECT Id FROM Account WHERE A__c = 1 AND B__c = 2 OR C__c = 3": (
        "AND and OR are not mixed at one level without parentheses (rest.md 13.1)"
    ),
    "SELECT Name FROM Account OFFSET": "OFFSET takes a number",
    "SELECT Id FROM Account WHERE Name IN 'x'": "IN takes a list in parentheses (rest.md 13.3)",
    "SELECT Id FROM Account WHERE AND Name = 'x'": "AND stands between two conditions",
}


@pytest.mark.parametrize("soql", VALID)
def test_what_both_take_has_the_same_meaning(other: OtherParser, soql: str) -> None:
    assert_same_meaning(other, soql)


@pytest.mark.parametrize("soql", INVALID)
def test_what_is_wrong_is_refused_by_both(other: OtherParser, soql: str) -> None:
    assert (refusal(soql) is not None, "error" in other.parse(soql)) == (True, True)


def test_the_differences_are_those_listed(other: OtherParser) -> None:
    found = {soql: (refusal(soql) is None, "error" not in other.parse(soql)) for soql in ONLY_OURS | ONLY_THEIRS}
    assert found == dict.fromkeys(ONLY_OURS, (True, False)) | dict.fromkeys(ONLY_THEIRS, (False, True))


# Queries put together from the grammar, in words that both parsers know.

FIELDS = st.sampled_from(["Id", "Name", "Owner.Name", "Parent.Owner.Profile.Name", "X__c", "X__r.Y__c", "CreatedDate"])
PLAIN = st.text(st.characters(codec="ascii", exclude_characters="'\\\"", exclude_categories=["Cc"]), max_size=6)
STRINGS = st.one_of(PLAIN, st.sampled_from(["O\\'Neill", "a\\\\b", "x\\ny"])).map(lambda text: f"'{text}'")
LITERALS = st.one_of(
    STRINGS,
    st.integers(-999, 999).map(str),
    st.decimals(-99, 99, places=2).map(lambda one: f"{one:f}"),
    st.sampled_from(["true", "FALSE", "null", "2024-02-29", "2024-01-31T23:59:59Z", "2024-01-31T23:59:59-08:00"]),
    st.sampled_from(sorted(DATE_LITERALS)),
    st.tuples(st.sampled_from(sorted(DATE_LITERALS_N)), st.integers(1, 99)).map(lambda one: f"{one[0]}:{one[1]}"),
)
COMPARISONS = st.one_of(
    st.tuples(FIELDS, st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="]), LITERALS).map(" ".join),
    st.tuples(FIELDS, st.sampled_from(["LIKE", "like"]), STRINGS).map(" ".join),
    st.tuples(FIELDS, st.sampled_from(["IN", "NOT IN"]), st.lists(STRINGS, min_size=1, max_size=3)).map(
        lambda one: f"{one[0]} {one[1]} ({', '.join(one[2])})"
    ),
    st.tuples(st.sampled_from(["INCLUDES", "EXCLUDES"]), STRINGS).map(lambda one: f"Tags__c {one[0]} ({one[1]})"),
    st.sampled_from(["Id IN (SELECT AccountId FROM Contact)", "CALENDAR_YEAR(CreatedDate) = 2024"]),
)


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    joined = st.tuples(st.sampled_from([" AND ", " OR ", " and "]), st.lists(inner, min_size=2, max_size=3))
    # Not a NOT in a NOT, of which the other parser's printer loses parentheses.
    negated = inner.filter(lambda one: "NOT " not in one.replace("NOT IN", "")).map(lambda one: f"(NOT {one})")
    return st.one_of(joined.map(lambda one: f"({one[0].join(one[1])})"), negated)


CONDITIONS = st.recursive(COMPARISONS, _nested, max_leaves=5)
ORDERS = st.tuples(
    FIELDS, st.sampled_from(["", " ASC", " DESC"]), st.sampled_from(["", " NULLS FIRST", " NULLS LAST"])
).map("".join)


def _clause(word: str, content: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.just(""), content.map(lambda text: f" {word} {text}"))


TAILS = st.tuples(
    _clause("WHERE", CONDITIONS),
    _clause("ORDER BY", st.lists(ORDERS, min_size=1, max_size=3).map(", ".join)),
    _clause("LIMIT", st.sampled_from(["0", "7", "200 OFFSET 3"])),
).map("".join)
ITEMS = st.one_of(
    FIELDS,
    st.sampled_from(["toLabel(Rating)", "FORMAT(Amount) shown", "FIELDS(STANDARD)", "convertCurrency(Amount)"]),
    TAILS.map(lambda tail: f"(SELECT Id, LastName FROM Contacts{tail})"),
    st.just("TYPEOF What WHEN Account THEN Phone ELSE Name END"),
)
QUERIES = st.tuples(
    st.lists(ITEMS, min_size=1, max_size=4).map(", ".join),
    st.sampled_from(["Account", "Account a", "My__Custom__c"]),
    TAILS,
).map(lambda one: f"SELECT {one[0]} FROM {one[1]}{one[2]}")


@given(soql=QUERIES)
@settings(max_examples=300)
def test_generated_queries_have_the_same_meaning(other: OtherParser, soql: str) -> None:
    assert_same_meaning(other, soql)


TOKENS = [
    *("SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "(", ")", ",", "=", "!=", "<", ">", "'x'", "5"),
    *("null", "Id", "Name", "Account", "Contacts", "ORDER", "BY", "GROUP", "LIMIT", "COUNT(Id)", "TODAY", "ASC"),
]


@given(soql=QUERIES, at=st.floats(0, 1, exclude_max=True), token=st.sampled_from(["", *TOKENS]))
@settings(max_examples=300)
def test_queries_with_one_word_changed_are_refused_or_mean_the_same(
    other: OtherParser, soql: str, at: float, token: str
) -> None:
    words = soql.split(" ")
    words[int(at * len(words))] = token
    changed = " ".join(word for word in words if word)
    if refusal(changed) is None and "error" not in other.parse(changed):
        assert_same_meaning(other, changed, printed_by_them=False)  # it loses parentheses of a NOT in a NOT


# The parser's own corpus.

DIFFERENT = {
    "test-cases.ts": {
        113: "asks for errors to be ignored",
        114: "an Apex expression, which no API takes",
        115: "an Apex expression, which no API takes",
        139: "comments are no SOQL (rest.md 13.1)",
        140: "comments are no SOQL (rest.md 13.1)",
        142: "comments are no SOQL (rest.md 13.1)",
    },
    "test-cases-for-is-valid.ts": {
        21: "an unknown function parses; the org refuses it",
        39: "OFFSET takes a number",
        45: "HAVING without GROUP BY parses; the org refuses it",
        104: "a bind variable parses; the org refuses it",
        137: "GEOLOCATION in the place of DISTANCE parses; the org refuses it",
        138: "GEOLOCATION on its own parses; the org refuses it",
        139: "GEOLOCATION on its own parses; the org refuses it",
        140: "DISTANCE of two numbers parses; the org refuses it",
        145: "an unknown unit parses; the org refuses it",
        146: "DISTANCE with its locations exchanged parses; the org refuses it",
        158: "an Apex expression, which no API takes",
        167: "comments are no SOQL (rest.md 13.1)",
    },
    "test-cases-for-format.ts": dict.fromkeys([7, 9, 10], "AND and OR at one level (rest.md 13.1)"),
}


@pytest.mark.parametrize("file", DIFFERENT)
def test_their_corpus_means_the_same_but_for_the_listed_cases(other: OtherParser, file: str) -> None:
    if CORPUS is None:
        pytest.skip(f"the npm package has no corpus: set SFFRAME_SOQL_CORPUS to the test folder of {PACKAGE}'s repo")
    cases = other.ask({"cases": str(Path(CORPUS) / file)})
    different = {one["number"] for one in cases if (refusal(one["soql"]) is None) != one["valid"]}
    assert different == set(DIFFERENT[file])
    for one in cases:
        if one["valid"] and one["number"] not in different and "error" not in other.parse(one["soql"]):
            assert_same_meaning(other, one["soql"])
    print(f"{file}: {len(cases) - len(different)} of {len(cases)} cases agree")
