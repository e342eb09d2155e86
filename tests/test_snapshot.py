"""sfframe org snapshot: describes and a closed sample of rows, and an embedded org that starts from them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import sfframe as sf
from sfframe import orgs
from sfframe.cli.snapshot import closed_sample, snapshot

Command = Callable[..., subprocess.CompletedProcess[str]]

MACHINE: dict[str, Any] = {
    "name": "Machine__c",
    "label": "Machine",
    "fields": [
        {"name": "Account__c", "type": "reference", "referenceTo": ["Account"], "childRelationshipName": "Fleet__r"},
        {"name": "Built__c", "type": "datetime"},
        {"name": "Weight__c", "type": "double", "precision": 9, "scale": 3},
        {"name": "Kind__c", "type": "picklist", "picklistValues": ["Big", "Small"], "restrictedPicklist": True},
    ],
}


@pytest.fixture
def filled(local_org: sf.LocalOrg) -> sf.LocalOrg:
    """An org with machines of accounts, which have parents of their own."""
    local_org.deploy(MACHINE)
    (top,) = local_org.insert("Account", pl.DataFrame({"Name": ["Top"]}))
    (holding,) = local_org.insert("Account", pl.DataFrame({"Name": ["Holding"], "ParentId": [top]}))
    owners = local_org.insert("Account", pl.DataFrame({"Name": ["A", "B"], "ParentId": [holding, holding]}))
    local_org.insert(
        "Machine__c",
        pl.DataFrame(
            {
                "Name": ["M1", "M2"],
                "Account__c": list(reversed(owners)),
                "Built__c": ["2020-01-02T03:04:05.678Z", None],
                "Weight__c": [1.125, None],
                "Kind__c": ["Big", "Small"],
            }
        ),
    )
    return local_org


def test_an_embedded_org_started_from_a_snapshot_describes_and_holds_the_same(
    filled: sf.LocalOrg, tmp_path: Path
) -> None:
    with sf.connect(filled) as source:
        machines = closed_sample(source, {"Machine__c": source.describe("Machine__c")}, 10)["Machine__c"]
        whole = source.describe_json("machine__C")
    out = tmp_path / "mirror.json"
    orgs_before = filled.table("Account").height
    code = snapshot_of(filled, out=out, objects="Account,Machine__c", records=10)
    assert (code, sorted(file.name for file in (tmp_path / "mirror").iterdir())) == (
        0,
        ["Account.parquet", "Machine__c.parquet"],
    )
    with orgs.open_local(deploy=out, records=tmp_path / "mirror") as copy, sf.connect(copy) as again:
        assert dict(again.describe_json("Machine__c"), urls=whole["urls"]) == whole
        assert copy.table("Account").height == orgs_before
        theirs, ours = filled.table("Machine__c"), copy.table("Machine__c")
        user = ours["OwnerId"][0]
        assert user == copy.table("User")["Id"][0]
        people = ["OwnerId", "CreatedById", "LastModifiedById"]
        assert ours.drop(people).equals(theirs.drop(people))
        # The references of the copy lead to rows of the copy, whose children bear the same name.
        assert sf.read_soql("SELECT Name, Account__r.Parent.Parent.Name FROM Machine__c", org=again).rows() == [
            ("M1", "Top"),
            ("M2", "Top"),
        ]
        fresh = copy.insert("Account", pl.DataFrame({"Name": ["New"]}))
        assert copy.table("Account").height == orgs_before + 1
        assert fresh[0] not in set(filled.table("Account")["Id"])
    assert machines["Account__c"].null_count() == 2  # alone, a machine has no account to refer to


def snapshot_of(local: sf.LocalOrg, **options: Any) -> int:
    """The command's function on an org that is open here already."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SF_INSTANCE_URL", local.url)
        environment.setenv("SF_ACCESS_TOKEN", local.credentials.access_token)
        return snapshot(**options)


def test_a_sample_takes_the_parents_of_its_rows_along_and_cuts_what_leads_outside(filled: sf.LocalOrg) -> None:
    with sf.connect(filled) as org:
        described = {name: org.describe(name) for name in ("Account", "Machine__c")}
        frames = closed_sample(org, described, 1)
    machine = frames["Machine__c"].row(0, named=True)
    names = {row["Id"]: row["Name"] for row in frames["Account"].iter_rows(named=True)}
    assert machine["Account__c"] in names
    assert set(names.values()) >= {"Top", "Holding"}
    assert (frames["Machine__c"].height, machine["OwnerId"]) == (1, None)  # users were not asked for


def test_the_command_saves_every_object_of_an_org_and_serve_starts_from_it(command: Command, tmp_path: Path) -> None:
    with sf.LocalOrg(tmp_path / "source.duckdb") as source:
        source.deploy(MACHINE)
        source.insert("Account", pl.DataFrame({"Name": ["Acme"]}))
    place = f"local:{tmp_path / 'source.duckdb'}"
    done = command("org", "snapshot", "--org", place, "--out", "all.json", "--records", "5")
    assert done.returncode == 0, done.stderr
    described = json.loads((tmp_path / "all.json").read_text("utf-8"))
    names = {one["name"] for one in described}
    assert {"Account", "Machine__c", "Pricebook2", "User"} <= names
    assert not names & {"EntityDefinition", "Profile"}  # nobody creates these
    with orgs.open_local(deploy=tmp_path / "all.json", records=tmp_path / "all") as copy:
        assert copy.table("Account")["Name"].to_list() == ["Acme"]
        assert copy.table("Machine__c").height == 0


def test_a_snapshot_without_rows_is_one_file(command: Command, tmp_path: Path) -> None:
    done = command("org", "snapshot", "--org", "local", "--out", "two.json", "--objects", "contact, Lead,contact")
    assert (done.returncode, done.stdout) == (0, "")
    assert [one["name"] for one in json.loads((tmp_path / "two.json").read_text("utf-8"))] == ["Contact", "Lead"]
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--objects", "Acount"), "Did you mean Account"),
        (("--objects", ","), "--objects names no object"),
        (("--records=-1",), "--records -1 is no number of rows"),
        (("--out", "elsewhere/x.json"), "There is no folder elsewhere"),
        (("--out", "x.txt"), "--out x.txt is no JSON file"),
    ],
)
def test_what_cannot_be_saved_is_said_and_nothing_is_written(
    command: Command, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    given = ("--out", "x.json") if "--out" not in words else ()
    done = command("org", "snapshot", "--org", "local", *given, *words)
    assert (done.returncode, said in done.stderr, list(tmp_path.glob("x*"))) == (2, True, [])


def test_rows_that_do_not_fit_the_org_are_refused_by_name(tmp_path: Path) -> None:
    pl.DataFrame({"Id": ["001000000000001AAA"], "Nothing__c": ["x"]}).write_parquet(tmp_path / "Account.parquet")
    with pytest.raises(sf.UsageError, match="Account: the object has no field Nothing__c"):
        orgs.open_local(records=tmp_path)
    with pytest.raises(sf.UsageError, match="no Parquet files"):
        orgs.open_local(records=tmp_path / "elsewhere")


def test_recorded_describes_deploy_from_a_file_and_describe_all_their_fields(
    reference: Callable[[str], Path], tmp_path: Path
) -> None:
    described = [json.loads(file.read_text("utf-8")) for file in sorted(reference("describes/full").glob("*.json"))]
    (tmp_path / "all.json").write_text(json.dumps(described), "utf-8")
    with orgs.open_local(deploy=tmp_path / "all.json") as copy, sf.connect(copy) as org:
        for one in described:
            shown = {field["name"] for field in org.describe_json(one["name"])["fields"]}
            assert {field["name"] for field in one["fields"]} <= shown
        found = sf.read_soql("SELECT FIELDS(CUSTOM) FROM Product2 LIMIT 5", org=org)
    assert found.height == 0
