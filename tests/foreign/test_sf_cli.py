"""The sf CLI (npm) is content with the embedded org: its commands for data, run as processes of their own."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.foreign.conftest import NodeClients
from tests.foreign.verdicts import judges, marked_checks, not_judged, not_offered

pytestmark = pytest.mark.slow

DATA = "services/data/v62.0"


@dataclass(frozen=True, slots=True)
class Sf:
    """The command ``sf`` with a home of its own. ``folder`` is where it runs."""

    clients: NodeClients
    home: Path
    folder: Path

    def run(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """One command as it is."""
        home = {
            "HOME": self.home,
            "XDG_CONFIG_HOME": self.home,
            "XDG_CACHE_HOME": self.home,
            "XDG_DATA_HOME": self.home,
        }
        quiet = {"SF_DISABLE_TELEMETRY": "true", "SF_AUTOUPDATE_DISABLE": "true", "SF_SKIP_NEW_VERSION_CHECK": "true"}
        # Tables are drawn with borders for people only: where CI is set, the CLI would print bare text.
        drawn = {"OCLIF_TABLE_SKIP_CI_CHECK": "true", "OCLIF_TABLE_COLUMN_OVERRIDE": "120"}
        return subprocess.run(
            [self.clients.node, self.clients.sf, *map(str, words)],
            cwd=self.folder,
            env=os.environ | {name: str(path) for name, path in home.items()} | quiet | drawn | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def json(self, *words: object, **environment: str) -> Any:
        """The result of a command that succeeds."""
        done = self.run(*words, "--json", **environment)
        answer = json.loads(done.stdout)
        assert (done.returncode, answer["status"]) == (0, 0), f"{words}: {answer}"
        return answer["result"]

    def error(self, *words: object) -> dict[str, Any]:
        """What a command that fails tells."""
        answer: dict[str, Any] = json.loads(self.run(*words, "--json").stdout)
        assert answer["status"] != 0, f"{words}: {answer}"
        return answer

    def together(self, *commands: Sequence[object]) -> list[Any]:
        """The results of commands that run at once: those of Bulk API 2.0 wait for five seconds between two polls."""
        with ThreadPoolExecutor(len(commands)) as pool:
            return list(pool.map(lambda words: self.json(*words), commands))

    def found(self, soql: str, *more: object) -> list[dict[str, Any]]:
        """The records of a query, without what every record has beside its fields."""
        records = self.json("data", "query", "--query", soql, *more)["records"]
        return [{name: value for name, value in one.items() if name != "attributes"} for one in records]


@pytest.fixture(scope="session")
def logged_in(served: dict[str, str], node_clients: NodeClients, tmp_path_factory: pytest.TempPathFactory) -> Sf:
    """Logged in by an access token."""
    home = tmp_path_factory.mktemp("sf")
    client = Sf(node_clients, home, home)
    words = ("org", "login", "access-token", "--instance-url", served["url"], "--no-prompt", "--set-default")
    answer = client.json(*words, SF_ACCESS_TOKEN=served["access_token"])
    assert (answer["username"], answer["orgId"][:3], answer["isDevHub"]) == (served["username"], "00D", False)
    return client


@pytest.fixture
def sf(logged_in: Sf, tmp_path: Path) -> Sf:
    """The same, in the test's folder."""
    return Sf(logged_in.clients, logged_in.home, tmp_path)


def write_csv(file: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return file


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


@judges(
    "sf",
    "org login access-token",
    "org display",
    "org display user",
    "org auth show-access-token",
    "org list",
    "org list auth",
    "org list users",
    "org open",
)
def test_it_logs_in_and_shows_the_org(sf: Sf, served: dict[str, str]) -> None:
    shown = sf.json("org", "display")
    assert (shown["username"], shown["connectedStatus"]) == (served["username"], "Connected")
    assert sf.json("org", "auth", "show-access-token", "--no-prompt")["accessToken"] == served["access_token"]
    user = sf.json("org", "display", "user")
    assert (user["username"], user["profileName"], user["orgId"]) == (
        served["username"],
        "System Administrator",
        shown["id"],
    )
    listed = sf.json("org", "list")
    assert [(one["username"], one["connectedStatus"]) for one in listed["nonScratchOrgs"]] == [
        (served["username"], "Connected")
    ]
    assert [one["username"] for one in sf.json("org", "list", "auth")] == [served["username"]]
    assert [(one["username"], one["profileName"]) for one in sf.json("org", "list", "users")] == [
        (served["username"], "System Administrator")
    ]
    opened = sf.json("org", "open", "--url-only", "--path", "/lightning/o/Account/home")
    assert opened["url"].startswith(f"{served['url']}/secur/frontdoor.jsp?")


@judges("sf", "org login jwt", "org logout")
def test_it_logs_in_by_jwt_and_logs_out(
    logged_in: Sf, served: dict[str, str], tmp_path: Path, private_key: str
) -> None:
    sf = Sf(logged_in.clients, tmp_path, tmp_path)
    (tmp_path / "key.pem").write_text(private_key)
    by_jwt = ("--username", served["username"], "--client-id", served["client_id"], "--jwt-key-file", "key.pem")
    answer = sf.json("org", "login", "jwt", *by_jwt, "--instance-url", served["url"], "--set-default")
    assert (answer["username"], answer["instanceUrl"]) == (served["username"], served["url"])
    assert len(sf.found("SELECT Id FROM Organization")) == 1
    assert sf.json("org", "logout", "--no-prompt", "--target-org", served["username"]) == [served["username"]]


@judges("sf", "org list limits", "org list sobject record-counts", "sobject list", "sobject describe")
def test_it_tells_limits_counts_and_objects(sf: Sf) -> None:
    sf.json("data", "create", "record", "--sobject", "Account", "--values", "Name=Counted")
    limits = {one["name"]: one for one in sf.json("org", "list", "limits")}
    assert limits["DailyApiRequests"]["max"] > limits["DailyApiRequests"]["remaining"] > 0
    counts = sf.json("org", "list", "sobject", "record-counts", "--sobject", "Account")
    assert [one["name"] for one in counts] == ["Account"]
    assert counts[0]["count"] > 0
    assert {"Account", "Contact", "User"} <= set(sf.json("sobject", "list"))
    assert sf.json("sobject", "list", "--sobject", "custom") == []
    described = sf.json("sobject", "describe", "--sobject", "Account")
    assert [field["externalId"] for field in described["fields"] if field["name"] == "Ext_Id__c"] == [True]
    of_tooling = sf.json("sobject", "describe", "--sobject", "EntityDefinition", "--use-tooling-api")
    assert of_tooling["name"] == "EntityDefinition"
    assert sf.error("sobject", "describe", "--sobject", "Nothing__c")["name"] == "NOT_FOUND"


@judges(
    "sf",
    "data query: a table",
    "data query: CSV",
    "data query: JSON",
    "data query: from a file",
    "data query: children",
    "data query: aggregates",
    "data query: --all-rows",
    "data query: --use-tooling-api",
    "data query: errors",
)
def test_it_queries(sf: Sf) -> None:
    write_csv(sf.folder / "rows.csv", ["Name", "Ext_Id__c"], [["Queried, Inc.", "sq1"], ["Plain", "sq2"]])
    sf.json("data", "import", "bulk", "--sobject", "Account", "--file", "rows.csv", "--wait", "1")
    soql = "SELECT Name, Owner.Username, Site FROM Account WHERE Ext_Id__c LIKE 'sq%' ORDER BY Ext_Id__c"
    table = sf.run("data", "query", "--query", soql).stdout
    assert ["│ NAME          │ OWNER.USERNAME" in table, "│ Queried, Inc. │" in table] == [True, True]
    assert "Total number of records retrieved: 2." in table
    as_csv = sf.run("data", "query", "--query", soql, "--result-format", "csv").stdout.splitlines()
    assert (as_csv[0], as_csv[1].startswith('"Queried, Inc.",')) == ("Name,Owner.Username,Site", True)
    (sf.folder / "query.soql").write_text(soql)
    assert [one["Name"] for one in sf.json("data", "query", "--file", "query.soql")["records"]] == [
        "Queried, Inc.",
        "Plain",
    ]
    children = sf.found("SELECT Name, (SELECT LastName FROM Contacts) FROM Account WHERE Ext_Id__c = 'sq1'")
    assert children == [{"Name": "Queried, Inc.", "Contacts": None}]
    grouped = sf.found(
        "SELECT Name, COUNT(Id) how_many FROM Account WHERE Ext_Id__c LIKE 'sq%' GROUP BY Name ORDER BY Name"
    )
    assert grouped == [{"Name": "Plain", "how_many": 1}, {"Name": "Queried, Inc.", "how_many": 1}]
    sf.json("data", "delete", "record", "--sobject", "Account", "--where", "Ext_Id__c=sq2")
    assert len(sf.found("SELECT Id FROM Account WHERE Ext_Id__c = 'sq2'")) == 0
    assert len(sf.found("SELECT Id FROM Account WHERE Ext_Id__c = 'sq2'", "--all-rows")) == 1
    entity = "SELECT QualifiedApiName FROM EntityDefinition WHERE QualifiedApiName = 'Account'"
    assert sf.found(entity, "--use-tooling-api") == [{"QualifiedApiName": "Account"}]
    wrong = sf.error("data", "query", "--query", "SELECT Nothing FROM Account")
    assert wrong["name"] == "INVALID_FIELD"
    assert "No such column 'Nothing' on entity 'Account'" in wrong["message"]


@judges("sf", "data create record", "data get record", "data update record", "data delete record")
def test_it_creates_reads_changes_and_deletes_a_record(sf: Sf) -> None:
    account = ("--sobject", "Account")
    values = "Name='One, Inc.' Ext_Id__c=sr1 AnnualRevenue=12.5 Active__c=true"
    made = sf.json("data", "create", "record", *account, "--values", values)
    assert (made["success"], made["errors"]) == (True, [])
    by_id = ("--record-id", made["id"])
    read = sf.json("data", "get", "record", *account, *by_id)
    assert (read["Name"], read["AnnualRevenue"], read["Active__c"]) == ("One, Inc.", 13, True)
    assert sf.json("data", "get", "record", *account, "--where", "Ext_Id__c=sr1")["Id"] == made["id"]
    sf.json("data", "update", "record", *account, *by_id, "--values", "Name='Two' Site=here")
    sf.json("data", "update", "record", *account, "--where", "Ext_Id__c=sr1", "--values", "Site=there")
    again = sf.json("data", "get", "record", *account, *by_id)
    assert (again["Name"], again["Site"]) == ("Two", "there")
    sf.json("data", "delete", "record", *account, *by_id)
    assert sf.error("data", "get", "record", *account, *by_id)["name"] == "NOT_FOUND"
    incomplete = sf.error("data", "create", "record", *account, "--values", "Ext_Id__c=sr2")
    assert (incomplete["name"], incomplete["message"]) == (
        "REQUIRED_FIELD_MISSING",
        "Required fields are missing: [Name]",
    )


@judges("sf", "data create file")
def test_it_uploads_a_file(sf: Sf) -> None:
    owner = sf.json("data", "create", "record", "--sobject", "Account", "--values", "Name=Owner")["id"]
    (sf.folder / "note.txt").write_text("two\nlines")
    made = sf.json("data", "create", "file", "--file", "note.txt", "--title", "A note", "--parent-id", owner)
    assert (made["Title"], made["FileExtension"], made["ContentDocumentId"][:3]) == ("A note", "txt", "069")
    links = sf.found(f"SELECT ContentDocumentId FROM ContentDocumentLink WHERE LinkedEntityId = '{owner}'")
    assert links == [{"ContentDocumentId": made["ContentDocumentId"]}]
    body = sf.run("api", "request", "rest", f"{DATA}/sobjects/ContentVersion/{made['Id']}/VersionData")
    assert body.stdout.rstrip("\n") == "two\nlines"


@judges(
    "sf",
    "data import bulk",
    "data upsert bulk",
    "data export bulk: CSV",
    "data export bulk: JSON",
    "data update bulk",
    "data delete bulk",
    "data bulk results",
    "data bulk results: failures",
)
def test_it_loads_and_exports_by_bulk_2(sf: Sf) -> None:
    account = ("--sobject", "Account", "--wait", "2")
    write_csv(sf.folder / "in.csv", ["Name", "Ext_Id__c"], [[f'Wide "{n}", Inc.', f"sb{n}"] for n in range(20)])
    loaded = sf.json("data", "import", "bulk", *account, "--file", "in.csv")
    assert (loaded["processedRecords"], loaded["successfulRecords"], loaded["failedRecords"]) == (20, 20, 0)
    soql = "SELECT Id, Name, Ext_Id__c FROM Account WHERE Ext_Id__c LIKE 'sb%' ORDER BY Ext_Id__c"
    export = ("data", "export", "bulk", "--query", soql, "--wait", "2", "--output-file")
    as_csv, as_json = sf.together([*export, "out.csv"], [*export, "out.json", "--result-format", "json"])
    assert [as_csv["totalSize"], as_json["totalSize"]] == [20, 20]
    rows = read_csv(sf.folder / "out.csv")
    assert sorted(row["Name"] for row in rows) == sorted(f'Wide "{n}", Inc.' for n in range(20))
    assert json.loads((sf.folder / "out.json").read_text()) == rows

    ids = {row["Ext_Id__c"]: row["Id"] for row in rows}
    write_csv(sf.folder / "up.csv", ["Ext_Id__c", "Name"], [["sb0", "Known"], ["sbnew", "New"]])
    write_csv(sf.folder / "change.csv", ["Id", "Site"], [[ids["sb1"], "here"], ["001000000000000AAA", "nowhere"]])
    write_csv(sf.folder / "gone.csv", ["Id"], [[ids["sb2"]], [ids["sb3"]]])
    upserted, deleted = sf.together(
        ["data", "upsert", "bulk", *account, "--file", "up.csv", "--external-id", "Ext_Id__c"],
        ["data", "delete", "bulk", *account, "--file", "gone.csv"],
    )
    created = {row["Ext_Id__c"]: row["sf__Created"] for row in upserted["records"]["successfulResults"]}
    assert created == {"sb0": "false", "sbnew": "true"}
    assert deleted["jobInfo"]["state"] == "JobComplete"
    assert {row["sf__Id"] for row in deleted["records"]["successfulResults"]} == {ids["sb2"], ids["sb3"]}

    assert sf.error("data", "update", "bulk", *account, "--file", "change.csv")["name"] == "FailedRecordDetailsError"
    job = json.loads(sf.run("data", "update", "bulk", "--sobject", "Account", "--file", "change.csv", "--json").stdout)
    results = sf.json("data", "bulk", "results", "--job-id", job["result"]["jobId"])
    assert (results["successfulRecords"], results["failedRecords"], results["status"]) == (1, 1, "JobComplete")
    failed = read_csv(sf.folder / results["failedFilePath"])
    assert [row["sf__Error"].partition(":")[0] for row in failed] == ["INVALID_CROSS_REFERENCE_KEY"]
    assert [row["sf__Id"] for row in read_csv(sf.folder / results["successFilePath"])] == [ids["sb1"]]
    assert sf.found("SELECT Site FROM Account WHERE Ext_Id__c = 'sb1'") == [{"Site": "here"}]


@judges(
    "sf",
    "data import resume",
    "data upsert resume",
    "data update resume",
    "data delete resume",
    "data export resume",
)
def test_it_resumes_jobs_that_it_did_not_wait_for(sf: Sf) -> None:
    account = ("--sobject", "Account")
    write_csv(sf.folder / "in.csv", ["Name", "Ext_Id__c"], [["A", "sz1"], ["B", "sz2"]])
    started = sf.json("data", "import", "bulk", *account, "--file", "in.csv")
    loaded = sf.json("data", "import", "resume", "--job-id", started["jobId"], "--wait", "2")
    assert (loaded["successfulRecords"], loaded["failedRecords"]) == (2, 0)
    rows = sf.found("SELECT Id FROM Account WHERE Ext_Id__c LIKE 'sz%' ORDER BY Ext_Id__c")
    write_csv(sf.folder / "up.csv", ["Ext_Id__c", "Name"], [["sz1", "Again"]])
    write_csv(sf.folder / "change.csv", ["Id", "Site"], [[rows[0]["Id"], "here"]])
    write_csv(sf.folder / "gone.csv", ["Id"], [[rows[1]["Id"]]])
    export = ("--query", "SELECT Name FROM Account WHERE Ext_Id__c = 'sz1'", "--output-file", "out.csv")
    jobs = sf.together(
        ["data", "upsert", "bulk", *account, "--file", "up.csv", "--external-id", "Ext_Id__c"],
        ["data", "update", "bulk", *account, "--file", "change.csv"],
        ["data", "delete", "bulk", *account, "--file", "gone.csv"],
        ["data", "export", "bulk", *export],
    )
    ids = [job.get("jobId") or job["jobInfo"]["id"] for job in jobs]
    upserted, updated, deleted, exported = sf.together(
        ["data", "upsert", "resume", "--job-id", ids[0], "--wait", "2"],
        ["data", "update", "resume", "--job-id", ids[1], "--wait", "2"],
        ["data", "delete", "resume", "--job-id", ids[2], "--wait", "2"],
        ["data", "export", "resume", "--job-id", ids[3]],
    )
    assert [row["sf__Created"] for row in upserted["records"]["successfulResults"]] == ["false"]
    assert (updated["successfulRecords"], updated["failedRecords"]) == (1, 0)
    assert [row["sf__Id"] for row in deleted["records"]["successfulResults"]] == [rows[1]["Id"]]
    assert exported["totalSize"] == 1
    assert read_csv(sf.folder / "out.csv") in ([{"Name": "A"}], [{"Name": "Again"}])  # it may overtake the upsert


@judges("sf", "force data bulk upsert", "force data bulk delete", "force data bulk status", "data resume")
def test_it_loads_by_bulk_1(sf: Sf) -> None:
    account = ("--sobject", "Account")
    write_csv(sf.folder / "up.csv", ["Ext_Id__c", "Name"], [["sv1", "One"], ["sv2", "Two"]])
    upsert = ("force", "data", "bulk", "upsert", *account, "--file", "up.csv", "--external-id", "Ext_Id__c")
    (job,) = sf.json(*upsert, "--wait", "1")
    done = ("state", "numberBatchesCompleted", "numberRecordsProcessed", "numberRecordsFailed")
    assert [job[name] for name in done] == ["Closed", "1", "2", "0"]
    (batch,) = sf.json(*upsert)  # without waiting
    asked = ("--job-id", batch["jobId"])
    told, listed = sf.together(
        ["force", "data", "bulk", "status", *asked],
        ["data", "resume", *asked, "--batch-id", batch["id"]],
    )
    assert (told["id"], told["operation"], [one["id"] for one in listed]) == (batch["jobId"], "upsert", [batch["id"]])
    rows = sf.found("SELECT Id, Name FROM Account WHERE Ext_Id__c LIKE 'sv%' ORDER BY Ext_Id__c")
    assert [row["Name"] for row in rows] == ["One", "Two"]
    write_csv(sf.folder / "gone.csv", ["Id"], [[row["Id"]] for row in rows])
    (gone,) = sf.json("force", "data", "bulk", "delete", *account, "--file", "gone.csv", "--wait", "1")
    assert [gone[name] for name in done] == ["Closed", "1", "2", "0"]
    assert sf.found("SELECT Id FROM Account WHERE Ext_Id__c LIKE 'sv%'") == []


@judges(
    "sf",
    "data import tree: a file",
    "data import tree: a plan",
    "data import tree: errors",
    "data export tree",
    "data export tree: a plan",
)
def test_it_imports_and_exports_trees(sf: Sf) -> None:
    tree = {
        "records": [
            {
                "attributes": {"type": "Account", "referenceId": "AccountRef1"},
                "Name": "Trunk",
                "Ext_Id__c": "st1",
                "Contacts": {
                    "records": [
                        {"attributes": {"type": "Contact", "referenceId": f"ContactRef{n}"}, "LastName": f"Leaf {n}"}
                        for n in (1, 2)
                    ]
                },
            }
        ]
    }
    (sf.folder / "tree.json").write_text(json.dumps(tree))
    imported = sf.json("data", "import", "tree", "--files", "tree.json")
    assert sorted((one["refId"], one["type"], one["id"][:3]) for one in imported) == [
        ("AccountRef1", "Account", "001"),
        ("ContactRef1", "Contact", "003"),
        ("ContactRef2", "Contact", "003"),
    ]
    leaves = sf.found("SELECT LastName FROM Contact WHERE Account.Ext_Id__c = 'st1' ORDER BY LastName")
    assert leaves == [{"LastName": "Leaf 1"}, {"LastName": "Leaf 2"}]

    soql = "SELECT Name, Site, (SELECT LastName FROM Contacts ORDER BY LastName) FROM Account WHERE Ext_Id__c = 'st1'"
    sf.together(
        ["data", "export", "tree", "--query", soql, "--output-dir", "whole"],
        ["data", "export", "tree", "--query", soql, "--output-dir", "planned", "--plan"],
    )
    exported = json.loads((sf.folder / "whole" / "Account-Contact.json").read_text())["records"]
    assert [one["LastName"] for one in exported[0]["Contacts"]["records"]] == ["Leaf 1", "Leaf 2"]
    plan = sf.folder / "planned" / "Account-Contact-plan.json"
    again = sf.json("data", "import", "tree", "--plan", plan)
    assert sorted(one["type"] for one in again) == ["Account", "Contact", "Contact"]
    assert len(sf.found("SELECT Id FROM Contact WHERE Account.Name = 'Trunk'")) == 4

    tree["records"][0]["Name"] = "x" * 300
    (sf.folder / "wrong.json").write_text(json.dumps(tree))
    refused = sf.error("data", "import", "tree", "--files", "wrong.json")["data"]
    assert [(one["referenceId"], one["StatusCode"], one["fields"]) for one in refused] == [
        ("AccountRef1", "STRING_TOO_LONG", "Name")
    ]
    assert sf.found("SELECT Id FROM Account WHERE Name LIKE 'xxx%'") == []


@judges("sf", "api request rest", "api request rest: POST", "api request rest: from a file", "data search")
def test_it_sends_plain_requests_and_searches(sf: Sf) -> None:
    described = json.loads(sf.run("api", "request", "rest", f"{DATA}/sobjects/Account/describe").stdout)
    assert described["name"] == "Account"
    body = json.dumps({"Name": "Quokkarium Ltd", "Ext_Id__c": "sa1"})
    posted = sf.run(
        "api", "request", "rest", f"{DATA}/sobjects/Account", "--method", "POST", "--body", body, "--include"
    )
    assert posted.stdout.startswith("HTTP/1.1 201")
    request = {
        "method": "PATCH",
        "url": f"{DATA}/sobjects/Account/Ext_Id__c/sa1",
        "body": {"mode": "raw", "raw": {"Site": "x"}},
    }
    (sf.folder / "request.json").write_text(json.dumps(request))
    patched = json.loads(sf.run("api", "request", "rest", "--file", "request.json").stdout)
    assert (patched["success"], patched["created"]) == (True, False)
    found = sf.json("data", "search", "--query", "FIND {Quokkarium} IN ALL FIELDS RETURNING Account(Name, Site)")
    assert [(one["Name"], one["Site"]) for one in found["searchRecords"]] == [("Quokkarium Ltd", "x")]


def test_every_command_for_data_is_judged_or_named_as_not_offered(
    sf: Sf, record_property: Callable[[str, Any], None]
) -> None:
    commands = json.loads(sf.run("commands", "--json").stdout)
    topics = {"data", "sobject", "api", "org"}
    offered = [one["id"].replace(":", " ") for one in commands]
    of_data = [one for one in offered if one.split()[0] in topics or one.startswith("force data")]
    assert len(of_data) > 40
    record_property("not offered", ("sf", not_offered("sf", of_data)))
    assert not_judged("sf", of_data, marked_checks("sf", globals())) == set()
