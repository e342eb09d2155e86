"""Real input: the NPSP sample data go in by the command line, come back the same, and do not go in twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import polars as pl
import pytest
from polars.testing import assert_frame_equal

pytestmark = pytest.mark.slow

Command = Callable[..., CompletedProcess[str]]


@dataclass(frozen=True)
class Table:
    """One file of the data set: which column is which field, and whether a second load may update its rows."""

    sobject: str
    rows: int
    columns: dict[str, str]
    left_out: tuple[str, ...] = ()
    updates: bool = True


KEY = {"name": "Ext_Id__c", "type": "string", "length": 18, "externalId": True, "unique": True}
DEPLOYED = [
    {
        "name": "Account",
        "fields": [KEY, {"name": "npe01__SYSTEM_AccountType__c", "type": "string", "length": 100}],
    },
    {
        "name": "Contact",
        "fields": [KEY, {"name": "Primary_Affiliation__c", "type": "reference", "referenceTo": ["Account"]}],
    },
    {"name": "Campaign", "fields": [KEY]},
    {
        "name": "Opportunity",
        "fields": [
            KEY,
            {"name": "Dont_Create_Payments__c", "type": "boolean"},
            {"name": "Primary_Contact__c", "type": "reference", "referenceTo": ["Contact"]},
        ],
    },
    {"name": "CampaignMember", "fields": [KEY]},
    {"name": "OpportunityContactRole", "fields": [KEY]},
]
TABLES = [
    Table(
        "Account",
        1223,
        {
            "id": "Ext_Id__c",
            "Name": "Name",
            "BillingCountry": "BillingCountry",
            "BillingStreet": "BillingStreet",
            "BillingState": "BillingState",
            "BillingCity": "BillingCity",
            "BillingPostalCode": "BillingPostalCode",
            "npe01__SYSTEM_AccountType__c": "npe01__SYSTEM_AccountType__c",
        },
        left_out=("RecordTypeId",),
    ),
    Table(
        "Contact",
        1024,
        {
            "id": "Ext_Id__c",
            "Salutation": "Salutation",
            "FirstName": "FirstName",
            "LastName": "LastName",
            "Email": "Email",
            "Phone": "Phone",
            "Title": "Title",
            "account_id": "Account.Ext_Id__c",
            "primary_affiliation__c": "Primary_Affiliation__r.Ext_Id__c",
        },
    ),
    Table("Campaign", 13, {"id": "Ext_Id__c", "name": "Name"}),
    Table(
        "Opportunity",
        1517,
        {
            "id": "Ext_Id__c",
            "name": "Name",
            "amount": "Amount",
            "stage_name": "StageName",
            "close_date": "CloseDate",
            "dont_create_payments": "Dont_Create_Payments__c",
            "account_id": "Account.Ext_Id__c",
            "primary_contact__c": "Primary_Contact__r.Ext_Id__c",
            "campaign_id": "Campaign.Ext_Id__c",
        },
        left_out=("npe03__recurring_donation__c",),
    ),
    Table(
        "CampaignMember",
        1699,
        {
            "id": "Ext_Id__c",
            "status": "Status",
            "contact_id": "Contact.Ext_Id__c",
            "campaign_id": "Campaign.Ext_Id__c",
        },
        updates=False,
    ),
    Table(
        "OpportunityContactRole",
        3499,
        {
            "id": "Ext_Id__c",
            "Role": "Role",
            "IsPrimary": "IsPrimary",
            "contact_id": "Contact.Ext_Id__c",
            "opportunity_id": "Opportunity.Ext_Id__c",
        },
        updates=False,
    ),
]


def _load(command: Command, table: Table, file: Path, results: Path) -> CompletedProcess[str]:
    pairs = [f"{column}={field}" for column, field in table.columns.items() if column != field]
    pairs += [f"{column}=" for column in table.left_out]
    return command(
        "load",
        file,
        table.sobject,
        "--operation=upsert",
        "--external-id-field=Ext_Id__c",
        *(word for pair in pairs for word in ("--map", pair)),
        "--org=local:org.duckdb",
        f"--results={results}",
    )


def _text(frame: pl.DataFrame) -> pl.DataFrame:
    """Cells as the CSV file spells them: a number without a needless fraction, an empty text as null."""
    return frame.select(pl.all().cast(pl.String).str.replace(r"^(-?\d+)\.0$", "${1}").replace("", None))


@pytest.fixture
def data(reference: Callable[[str], Path]) -> Path:
    return reference("datasets/npsp/1k/test_data_csv")


def test_the_npsp_sample_goes_in_comes_back_the_same_and_does_not_go_in_twice(
    command: Command, data: Path, tmp_path: Path, deployed: Path
) -> None:
    for table in TABLES:
        file, results = data / f"{table.sobject}.csv", tmp_path / f"{table.sobject}.csv"
        sent = pl.read_csv(file, infer_schema=False, null_values="")
        assert sent.height == table.rows

        first = _load(command, table, file, results)
        assert first.returncode == 0, first.stderr
        answers = pl.read_csv(results, infer_schema=False, null_values="")
        assert_frame_equal(answers.select(sent.columns), sent)  # the input's rows, in the input's order
        assert set(answers["sf__Status"]) == {"created"}
        assert answers["sf__Id"].n_unique() == table.rows

        back = tmp_path / f"{table.sobject}.parquet"
        asked = ", ".join(["Id", *table.columns.values()])
        done = command("query", f"SELECT {asked} FROM {table.sobject}", "--org=local:org.duckdb", f"--output={back}")
        assert done.returncode == 0, done.stderr
        read = pl.read_parquet(back)
        by_id = answers.select(pl.col("sf__Id").alias("Id")).join(read, on="Id", maintain_order="left")
        told = _text(
            by_id.select(table.columns.values()).rename(dict(zip(table.columns.values(), table.columns, strict=True)))
        )
        wanted = _text(sent.select(table.columns.keys()))
        if "Email" in wanted.columns:  # the org lower-cases addresses (rest.md 6.4)
            wanted = wanted.with_columns(pl.col("Email").str.to_lowercase())
        assert_frame_equal(told, wanted)

    for table in TABLES:
        again = _load(command, table, data / f"{table.sobject}.csv", tmp_path / "again.csv")
        answers = pl.read_csv(tmp_path / "again.csv", infer_schema=False, null_values="")
        # Parents that can only be set on create make the second upsert of a junction fail; it creates nothing either.
        assert dict(answers["sf__Status"].value_counts().iter_rows()) == (
            {"updated": table.rows} if table.updates else {"failed": table.rows}
        )
        assert again.returncode == (0 if table.updates else 1)
        count = command("query", f"SELECT COUNT() FROM {table.sobject}", "--org=local:org.duckdb")
        assert count.stdout == f"count\n{table.rows}\n"


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """The org file with the fields that the data set needs."""
    import sfframe as sf

    objects = tmp_path / "objects.json"
    objects.write_text(json.dumps(DEPLOYED))
    with sf.LocalOrg(tmp_path / "org.duckdb") as local:
        local.deploy(objects)
    return objects
