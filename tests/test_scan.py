"""scan_soql, scan_sobject and explain on the embedded org: what comes back, and what was asked for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import sfframe as sf

C = pl.col
ROWS = 5_000
Engine = Literal["in-memory", "streaming"]
both_engines = pytest.mark.parametrize("engine", ["in-memory", "streaming"])


@dataclass(frozen=True)
class Place:
    """An org with accounts and contacts, scans of both, and their whole frames."""

    local: sf.LocalOrg
    org: sf.Org
    accounts: pl.LazyFrame
    contacts: pl.LazyFrame
    account_rows: pl.DataFrame
    contact_rows: pl.DataFrame

    before: int = 0

    def anew(self) -> Place:
        """The same, counting from now."""
        return replace(self, before=self.org.calls)

    def asked(self) -> tuple[int, int]:
        """Requests since ``anew``, and the bytes of their answers."""
        log = self.local.request_log().slice(self.before)
        return log.height, int(log["bytes_out"].sum())


@pytest.fixture(scope="module")
def _filled() -> Iterator[Place]:
    numbers = pl.int_range(ROWS, eager=True)
    rows = pl.DataFrame({"NumberOfEmployees": numbers}).select(
        pl.format("Account {}", "NumberOfEmployees").alias("Name"),
        "NumberOfEmployees",
        pl.when(C("NumberOfEmployees") % 7 > 0).then(C("NumberOfEmployees") / 4).alias("AnnualRevenue"),
        pl.lit("words " * 20).alias("Website"),
    )
    with sf.LocalOrg() as local, sf.connect(local) as org:
        ids = local.insert("Account", rows)
        people = pl.DataFrame({"LastName": [f"Person {n}" for n in range(40)], "AccountId": [*ids[:30], *[None] * 10]})
        local.insert("Contact", people)
        accounts = sf.scan_sobject("Account", columns=["Owner.Name"], org=org)
        contacts = sf.scan_sobject("Contact", columns=["Account.Name", "Account.Owner.Name"], org=org)
        yield Place(local, org, accounts, contacts, accounts.collect(), contacts.collect())


@pytest.fixture
def place(_filled: Place) -> Place:
    return _filled.anew()


# -- what comes back --------------------------------------------------------------------------------------------------


def test_a_scan_has_the_columns_and_types_of_read_soql(place):
    compounds = {"address", "location", "base64"}
    own = [field.name for field in place.org.describe("Account") if field.type not in compounds]
    assert place.accounts.collect_schema().names() == [*own, "Owner.Name"]
    read = sf.read_soql(f"SELECT {', '.join(own)}, Owner.Name FROM Account", org=place.org)
    assert_frame_equal(place.account_rows, read, check_row_order=False)


def test_one_more_column_may_be_named_by_itself_and_an_own_one_again(place):
    scan = sf.scan_sobject("Contact", columns="Account.Name", org=place.org)
    assert scan.select("Account.Name").head(1).collect().columns == ["Account.Name"]
    again = sf.scan_sobject("Contact", columns=["lastname", "MailingAddress"], org=place.org)
    assert again.collect_schema().names()[-1] == "MailingAddress"
    assert again.collect_schema().names().count("LastName") == 1


@both_engines
def test_polars_does_with_a_scan_what_it_does_with_the_frame(place, engine: Engine):
    def work(accounts: pl.LazyFrame, contacts: pl.LazyFrame) -> list[pl.LazyFrame]:
        rich = accounts.filter(C("AnnualRevenue") > 1200)
        joined = contacts.join(accounts, left_on="AccountId", right_on="Id")
        tables = pl.SQLContext(a=accounts, c=contacts)
        sql = "SELECT c.LastName, a.Name FROM c JOIN a ON c.AccountId = a.Id WHERE a.NumberOfEmployees < 3"
        return [
            rich.select("Id", "Name"),
            rich.rename({"Name": "Called"}).filter(C("Called").str.ends_with("9")).select("Called"),
            accounts.with_columns(half=C("NumberOfEmployees") / 2).filter(C("half") < 3).select("half"),
            accounts.filter(C("Name").is_in(["Account 1", "account 2"])).select("Name"),
            joined.select("LastName", "Name_right"),
            joined.filter(C("NumberOfEmployees").is_between(3, 5)).select("LastName"),
            contacts.filter(C("Account.Name") == "Account 4").select("LastName", "Account.Owner.Name"),
            accounts.group_by(C("AnnualRevenue").is_null()).agg(pl.len(), C("NumberOfEmployees").sum()),
            accounts.join(accounts, on="Id").select(pl.len()),
            pl.concat([contacts.select("LastName"), accounts.select(C("Name").alias("LastName"))]),
            tables.execute(sql),
        ]

    whole = work(place.account_rows.lazy(), place.contact_rows.lazy())
    for scanned, expected in zip(work(place.accounts, place.contacts), whole, strict=True):
        assert_frame_equal(scanned.collect(engine=engine), expected.collect(), check_row_order=False)


def test_a_scan_can_be_sunk_and_taken_in_batches(place, tmp_path):
    target = tmp_path / "few.parquet"
    few = C("NumberOfEmployees") >= 1500
    expected = place.account_rows.filter(few).select("Id", "Name")
    place.accounts.filter(few).select("Id", "Name").sink_parquet(target)
    assert_frame_equal(pl.read_parquet(target), expected, check_row_order=False)
    batches = list(place.accounts.filter(few).select("Id", "Name").collect_batches())
    assert_frame_equal(pl.concat(batches), expected, check_row_order=False)


@pytest.mark.parametrize("api", ["rest", "bulk2", "bulk1"])
def test_each_api_gives_the_same_rows(place, api):
    scan = sf.scan_sobject("Account", org=place.org, options=sf.ReadOptions(api=api))
    few = C("NumberOfEmployees").is_between(1000, 4500)
    expected = place.account_rows.filter(few).select("Id", "NumberOfEmployees")
    assert_frame_equal(scan.filter(few).select(expected.columns).collect(), expected, check_row_order=False)


def test_deleted_records_come_when_they_are_asked_for(org, local_org):
    ids = local_org.insert("Account", pl.DataFrame({"Name": ["kept", "gone"]}))
    sf.write_sobject(pl.DataFrame({"Id": ids[1:]}), "Account", operation="delete", org=org)
    names = sf.scan_sobject("Account", org=org, include_deleted=True).filter(C("IsDeleted")).select("Name")
    assert names.collect().rows() == [("gone",)]
    assert sf.scan_sobject("Account", org=org).select("Name").collect().rows() == [("kept",)]


# -- what is asked for ------------------------------------------------------------------------------------------------


def test_a_filter_a_selection_and_a_head_move_only_the_bytes_that_they_need(
    place: Place, record_property: Callable[[str, object], None]
) -> None:
    place.accounts.collect()
    calls, everything = place.asked()
    assert calls > 1
    place = place.anew()
    found = place.accounts.filter(C("AnnualRevenue") > 1240).select("Name").head(5).collect()
    assert found.height == 5
    calls, moved = place.asked()
    record_property("told", f"filter, select, head moved {moved:,} bytes; the whole object has {everything:,}")
    assert calls == 1
    assert moved < everything / 100


@both_engines
def test_a_head_right_behind_the_scan_is_a_limit(place, engine: Engine):
    found = place.accounts.select("Name").head(3).collect(engine=engine)
    assert found.height == 3
    calls, moved = place.asked()
    assert calls == 1
    assert moved < 1_000


def test_a_head_behind_a_filter_that_finds_much_costs_one_page(place):
    assert (
        place.accounts.filter(C("NumberOfEmployees") >= 0).select("Id").head(3).collect(engine="streaming").height == 3
    )
    assert place.asked()[0] == 1


@both_engines
def test_a_count_moves_no_records(place, engine: Engine):
    assert place.accounts.with_row_index().select("index").collect(engine=engine).height == ROWS
    calls, moved = place.asked()
    assert calls == 1
    assert moved < 300


@both_engines
@pytest.mark.parametrize(
    "count",
    [
        lambda scan: scan.select(pl.len()),
        lambda scan: pl.SQLContext(accounts=scan).execute("SELECT COUNT(*) FROM accounts"),
        lambda scan: scan.select("IsDeleted").select((~C("IsDeleted")).sum()),
    ],
    ids=["len", "sql", "not-deleted"],
)
def test_a_count_as_people_write_it_is_a_count_of_the_org(place, engine: Engine, count):
    lazy = count(place.accounts)
    assert sf.explain(lazy).scans[0].queries[0].soql == "SELECT COUNT() FROM Account"
    assert lazy.collect(engine=engine).item() == ROWS
    calls, moved = place.asked()
    assert calls == 1
    assert moved < 300


def test_what_is_deleted_is_asked_of_the_org_where_it_may_be_so(place):
    everything = sf.scan_sobject("Account", org=place.org, include_deleted=True).select("IsDeleted")
    assert sf.explain(everything).scans[0].queries[0].soql == "SELECT IsDeleted FROM Account"
    assert place.accounts.select("IsDeleted").head(3).collect()["IsDeleted"].to_list() == [False] * 3
    assert place.accounts.select("IsDeleted", "Name").head(1).collect().rows() == [(False, "Account 0")]


@both_engines
def test_a_filter_that_no_row_can_pass_asks_nothing(place, engine: Engine):
    none = place.accounts.filter(C("NumberOfEmployees").is_in([]), C("Name") == "x").select("Id", "Name")
    found = none.collect(engine=engine)
    assert (found.shape, found.columns) == ((0, 2), ["Id", "Name"])
    assert place.asked()[0] == 0


def test_a_long_list_is_asked_in_several_queries_and_every_row_comes_once(place):
    ids = place.account_rows["Id"].head(2_000)
    names = pl.concat([place.account_rows["Name"].head(1_500), pl.Series(["ACCOUNT 7", "no such"])])
    found = place.accounts.filter(C("Id").is_in(ids.implode())).select("Id").collect()
    assert sorted(found["Id"]) == sorted(ids)
    assert 1 < place.asked()[0] <= 10
    by_name = place.accounts.filter(C("Name").is_in(names.implode())).select("Name").collect()
    assert sorted(by_name["Name"]) == sorted(names[:1_500])


@pytest.mark.parametrize("api", ["auto", "rest", "bulk2"])
def test_a_list_of_the_query_itself_that_no_query_holds_is_refused_at_once(place, api):
    query, options = "SELECT Id, Name FROM Account", sf.ReadOptions(api=api)
    names = [f"Account {number}{end}" for number in range(ROWS) for end in ("", " or so")]
    with pytest.raises(sf.UsageError, match=r"FROM Account: The query has [0-9,]+ (characters|bytes), and ") as why:
        sf.scan_soql(f"{query} WHERE Name IN :names", params={"names": names}, org=place.org, options=options)
    assert why.value.remedy.startswith("Leave its list out, and filter the scan by it: filter(pl.col(...).is_in(...))")
    assert place.asked()[0] == 0
    filtered = sf.scan_soql(query, org=place.org, options=options).filter(C("Name").is_in(names))
    assert filtered.collect().height == ROWS


@both_engines
def test_a_limit_counts_the_rows_that_pass_the_filter(place, engine: Engine):
    limited = sf.scan_sobject("Account", org=place.org, limit=10)
    assert limited.select("Id").collect(engine=engine).height == 10
    rich = limited.filter(C("AnnualRevenue") > 1200).select("Id", "AnnualRevenue")
    assert sf.explain(rich).scans[0].queries[0].soql.endswith(" WHERE AnnualRevenue > 1200.0 LIMIT 10")
    assert (rich.collect(engine=engine)["AnnualRevenue"] > 1200).to_list() == [True] * 10
    named = limited.filter(C("Name").str.contains("9")).select("Name").collect(engine=engine)
    assert [("9" in name) for name in named["Name"]] == [True] * 10
    place = place.anew()
    assert sf.scan_sobject("Account", org=place.org, limit=0).collect(engine=engine).height == 0
    assert place.asked()[0] == 0


def test_an_early_stop_leaves_nothing_that_keeps_the_process():
    script = """
import polars as pl, sfframe as sf
with sf.LocalOrg() as local, sf.connect(local) as org:
    local.insert("Account", pl.DataFrame({"Name": [f"A{n}" for n in range(30_000)]}))
    for api in ("auto", "rest", "bulk2"):
        scan = sf.scan_sobject("Account", org=org, options=sf.ReadOptions(api=api, progress=False))
        found = scan.filter(pl.col("Name").str.starts_with("A")).select("Name").head(3).collect(engine="streaming")
        print(api, found.height)
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.stdout.split(), ended.returncode) == (["auto", "3", "rest", "3", "bulk2", "3"], 0), ended.stderr
    assert ended.stderr == ""


# -- queries ----------------------------------------------------------------------------------------------------------


def test_a_query_keeps_its_order_and_its_limit(place):
    scan = sf.scan_soql(
        "SELECT Name, NumberOfEmployees FROM Account WHERE NumberOfEmployees > :least "
        "ORDER BY NumberOfEmployees DESC LIMIT 5",
        params={"least": 10},
        org=place.org,
    )
    assert scan.collect()["NumberOfEmployees"].to_list() == [4999, 4998, 4997, 4996, 4995]
    odd = scan.filter(C("NumberOfEmployees") != 4998).select("NumberOfEmployees")
    assert odd.collect()["NumberOfEmployees"].to_list() == [4999, 4997, 4996, 4995]
    assert "the query has a LIMIT" in sf.explain(odd).scans[0].residuals[0][1]


def test_a_sorted_query_stays_sorted_when_a_filter_is_pushed(place):
    scan = sf.scan_soql("SELECT NumberOfEmployees FROM Account ORDER BY NumberOfEmployees DESC", org=place.org)
    few = scan.filter(C("NumberOfEmployees") < 4)
    assert few.collect()["NumberOfEmployees"].to_list() == [3, 2, 1, 0]
    assert sf.explain(few).scans[0].pushed == "NumberOfEmployees < 4"


def test_groups_and_counts_are_filtered_by_polars(place):
    groups = sf.scan_soql("SELECT OwnerId, COUNT(Id) many FROM Account GROUP BY OwnerId", org=place.org)
    assert groups.filter(C("many") > 1).select("many").collect().rows() == [(ROWS,)]
    assert groups.head(0).collect().columns == ["OwnerId", "many"]
    count = sf.scan_soql("SELECT COUNT() FROM Account", org=place.org)
    assert count.collect().rows() == [(ROWS,)]
    assert count.filter(C("count") > ROWS).collect().height == 0


def test_children_and_functions_are_selected_only_when_they_are_used(place):
    scan = sf.scan_soql(
        "SELECT Name, FORMAT(NumberOfEmployees) shown, (SELECT LastName FROM Contacts) FROM Account "
        "WHERE NumberOfEmployees < 2",
        org=place.org,
    )
    assert scan.collect_schema().names() == ["Name", "shown", "Contacts"]
    names = scan.filter(C("Name") == "Account 1").select("Name")
    assert sf.explain(names).scans[0].queries[0].soql == (
        "SELECT Name FROM Account WHERE NumberOfEmployees < 2 AND Name = 'Account 1'"
    )
    children = scan.select("Name", "Contacts").filter(C("Contacts").list.len() > 0).collect()
    assert sorted(children.rows()) == [
        ("Account 0", [{"LastName": "Person 0"}]),
        ("Account 1", [{"LastName": "Person 1"}]),
    ]


# -- explain ----------------------------------------------------------------------------------------------------------


def test_explain_sends_nothing_and_tells_what_is_pushed_and_what_stays(place):
    accounts = sf.scan_sobject("Account", org=place.org)
    told = sf.explain(accounts.filter(C("Name") == "Acme").select("Id"))
    assert place.asked()[0] == 0
    assert repr(told) == (
        "scan of Account\n"
        "  soql: SELECT Id, Name FROM Account WHERE Name = 'Acme'\n"
        "  by: REST for the first 2,000 rows in the order of Id; then, if polars wants more, "
        "REST below 20,000 rows and a Bulk API 2.0 job else\n"
        "  calls: 1 for each 2,000 rows\n"
        "  pushed: Name = 'Acme'\n"
        '  polars filters: [(col("Name")) == ("Acme")] because SOQL compares text without case'
    )
    assert told._repr_html_().startswith("<pre>scan of Account\n")


def test_explain_tells_how_the_last_use_of_a_scan_went_and_the_log_too(place, caplog):
    accounts = sf.scan_sobject("Account", org=place.org)
    lazy = accounts.filter(C("Name") == "Account 7").select("Id")
    assert sf.explain(lazy).scans[0].reads == ()
    with caplog.at_level("INFO", logger="sfframe.fetch"):
        assert lazy.collect().height == 1
    (read,) = sf.explain(lazy).scans[0].reads
    assert (read.sobject, read.transport, read.reason) == ("Account", "REST", "at most 2,000 rows")
    assert (read.rows, read.calls, read.whole, read.job_id) == (1, 1, True, "")
    assert [record.getMessage() for record in caplog.records] == [str(read)]
    assert str(read).startswith("Account by REST (at most 2,000 rows): 1 rows, 1 calls, ")
    assert "Account 7" not in caplog.text
    assert repr(sf.explain(lazy)).splitlines()[-2] == f"  last use: {read}"


def test_explain_says_that_the_rest_of_the_rows_was_not_wanted(place):
    accounts = sf.scan_sobject("Account", org=place.org, options=sf.ReadOptions(api="rest"))
    next(accounts.select("Id", "Name").collect_batches(chunk_size=10))
    (read,) = sf.explain(accounts).scans[0].reads
    assert (read.sobject, read.reason) == ("Account", "asked for")


def test_explain_names_what_soql_has_no_words_for(place):
    lazy = place.accounts.filter(C("Name").str.len_chars() == 4).select("Id")
    scan = sf.explain(lazy).scans[0]
    assert (scan.queries[0].soql, scan.pushed) == ("SELECT Id, Name FROM Account", "true")
    why = "SOQL has no such expression, or none that is known to mean the same"
    assert scan.residuals == (("the function LenChars", why),)


def test_explain_asks_the_org_for_its_plan_on_request(place):
    lazy = place.accounts.filter(C("NumberOfEmployees") < 3_000).select("Id")
    scan = sf.explain(lazy, plan=True).scans[0]
    assert place.asked()[0] == 1
    plan = scan.queries[0].plans[0]
    assert (plan.leading, plan.sobject, plan.rows, plan.of_rows) == ("TableScan", "Account", 3_000, ROWS)
    assert scan.queries[0].calls == "about 2"


def test_explain_tells_every_scan_of_salesforce_and_no_other(place):
    other = pl.LazyFrame({"Name": ["Account 1"]})
    lazy = (
        place.accounts.select("Id", "Name")
        .join(other, on="Name")
        .join(place.contacts, left_on="Id", right_on="AccountId")
    )
    assert sorted(scan.sobject for scan in sf.explain(lazy).scans) == ["Account", "Contact"]
    assert repr(sf.explain(other)) == "no scan of Salesforce"


@pytest.mark.parametrize(
    ("options", "limit", "transport", "calls"),
    [
        (sf.ReadOptions(api="rest"), None, "REST: asked for", "1 for each 2,000 rows"),
        (
            sf.ReadOptions(api="bulk2"),
            None,
            "Bulk API 2.0: asked for",
            "a job: 2 and its polls, and 1 for each page",
        ),
        (sf.ReadOptions(), 3_000, "REST: at most 3,000 rows", "at most 2"),
    ],
)
def test_explain_tells_the_api_and_the_expected_calls(place, options, limit, transport, calls):
    lazy = sf.scan_sobject("Account", org=place.org, limit=limit, options=options).select("Id")
    query = sf.explain(lazy).scans[0].queries[0]
    assert query.transport == transport
    assert query.calls.startswith(calls)


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_names_that_the_org_does_not_have_are_refused_at_once(place):
    with pytest.raises(sf.UsageError, match="no field 'Nmae'"):
        sf.scan_soql("SELECT Nmae FROM Account", org=place.org)
    with pytest.raises(sf.UsageError, match="no parent called 'Boss'"):
        sf.scan_sobject("Account", columns=["Boss.Name"], org=place.org)
    with pytest.raises(sf.UsageError, match="limit is -1"):
        sf.scan_sobject("Account", org=place.org, limit=-1)
    with pytest.raises(sf.SoqlSyntaxError):
        sf.scan_soql("SELECT FROM Account", org=place.org)


@both_engines
def test_an_error_of_the_org_keeps_its_class(place, engine: Engine):
    with pytest.raises(sf.QueryError):
        sf.scan_soql("SELECT Id FROM Account WHERE Name > 5", org=place.org).collect(engine=engine)
