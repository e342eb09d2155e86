"""Files that other tools test themselves with: each loads whole, or is refused with a reason that names the place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import sfframe as sf

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::sfframe.RowsFailedWarning")]

Find = Callable[[str], Path]
# What an org of Data Loader's own tests has beside the standard fields.
ORACLE_ID = {"name": "Oracle_Id__c", "type": "string", "length": 50, "externalId": True, "unique": True}
ACCOUNT_NUMBER = {"name": "AccountNumber__c", "type": "string", "length": 50}


@pytest.mark.parametrize("name", ["backquote", "caret", "comma", "comma_wrapped_values", "pipe", "semicolon", "tab"])
def test_the_sf_cli_files_load_with_every_delimiter(reference: Find, org: sf.Org, name: str) -> None:
    file = reference(f"datasets/sf-cli-plugin-data/csv/{name}.csv")
    result = sf.write_sobject(file, "Account", operation="insert", org=org)
    assert result.counts == {"created": 10}
    read = sf.read_soql("SELECT Name, Type, Phone, Website, AnnualRevenue FROM Account ORDER BY AnnualRevenue", org=org)
    assert read.rows() == [
        (f"account Upsert #{n}", "Account", "415-555-0000", f"http://www.accountUpsert{n}.com", n * 1000.0)
        for n in range(10)
    ]


def test_a_file_with_one_column_loads(reference: Find, org: sf.Org) -> None:
    result = sf.write_sobject(
        reference("datasets/sf-cli-plugin-data/csv/single-column.csv"), "Account", operation="insert", org=org
    )
    assert result.counts == {"created": 10}


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
@pytest.mark.parametrize("name", ["backquote", "comma", "comma_wrapped_values", "tab"])
def test_the_same_files_load_with_either_line_ending(
    reference: Find, org: sf.Org, tmp_path: Path, name: str, ending: str
) -> None:
    text = reference(f"datasets/sf-cli-plugin-data/csv/{name}.csv").read_text(encoding="utf-8")
    (tmp_path / "file.csv").write_bytes(ending.join(text.splitlines()).encode() + ending.encode())
    assert sf.write_sobject(tmp_path / "file.csv", "Account", operation="insert", org=org).counts == {"created": 10}


@pytest.mark.parametrize(
    "name", ["Account_bulk1_test.csv", "Account_bulk2_test.csv", "Account_bulk2_test_backquote.csv"]
)
def test_the_jsforce_files_load_or_say_which_columns_the_object_lacks(reference: Find, org: sf.Org, name: str) -> None:
    file = reference(f"datasets/jsforce/{name}")
    rows = pl.read_csv(file, infer_schema=False, separator="`" if "backquote" in name else ",").height
    refused = sf.validate_frame(file, "Account", operation="insert", org=org)
    assert set(refused.select("column", "rule").rows()) <= {("JIGSAWCOMPANYID", "not_createable")}
    stays = dict.fromkeys(refused["column"])
    result = sf.write_sobject(file, "Account", operation="insert", columns=stays, org=org)
    assert result.frame.height == rows
    assert result.counts == {"created": rows}


def test_the_accounts_of_data_loader_load(reference: Find, org: sf.Org, local_org: sf.LocalOrg) -> None:
    local_org.deploy([{"name": "Account", "fields": [ORACLE_ID, ACCOUNT_NUMBER]}])
    file = reference("datasets/dataloader/data/accountData.csv")
    sent = pl.read_csv(file, infer_schema=False, null_values="")
    assert sent.height == 423
    stays: dict[str, str | None] = dict.fromkeys(
        [
            *("ID", "ISDELETED", "MASTERRECORDID", "OWNERID", "CREATEDDATE", "CREATEDBYID"),
            *("LASTMODIFIEDDATE", "LASTMODIFIEDBYID", "SYSTEMMODSTAMP", "LASTACTIVITYDATE"),
        ]
    )
    with pytest.raises(sf.ContractError) as whole:
        sf.write_sobject(file, "Account", operation="upsert", external_id_field="Oracle_Id__c", org=org)
    assert whole.value.failures is not None
    assert set(whole.value.failures["column"]) >= {"CREATEDDATE", "SYSTEMMODSTAMP"}

    result = sf.write_sobject(
        file,
        "Account",
        operation="upsert",
        external_id_field="Oracle_Id__c",
        columns=stays,
        on_invalid="reject",
        org=org,
    )
    assert result.frame.select(sent.columns).equals(sent)
    assert result.counts == {"created": 412, "rejected": 11}  # eleven of the accounts have no Oracle id
    assert set(result.failures.select("column", "rule").rows()) == {("ORACLE_ID__C", "missing_key")}
    rest = sf.write_sobject(result.rejected, "Account", operation="insert", columns=stays, org=org)
    assert rest.counts == {"created": 11}
    read = sf.read_soql("SELECT Id, Name, Oracle_Id__c, BillingCity FROM Account", org=org)
    joined = result.frame.join(read, left_on="sf__Id", right_on="Id")
    assert (
        joined.select("NAME", "ORACLE_ID__C", "BILLINGCITY").rows()
        == joined.select("Name", "Oracle_Id__c", "BillingCity").rows()
    )


@pytest.mark.parametrize("mark", ["UTF16BE", "UTF16LE", "UTF32BE", "UTF32LE"])
def test_a_file_in_another_encoding_is_refused_with_its_name(reference: Find, org: sf.Org, mark: str) -> None:
    with pytest.raises(sf.FrameError, match="looks like UTF-16"):  # the UTF32 files begin with the mark of UTF-16
        sf.write_sobject(
            reference(f"datasets/dataloader/testfiles/data/csvtext_BOM_{mark}.csv"),
            "Account",
            operation="insert",
            org=org,
        )


def test_pain_dataloader_94_a_utf8_byte_order_mark_is_no_part_of_the_first_column(reference: Find, org: sf.Org) -> None:
    result = sf.write_sobject(
        reference("datasets/dataloader/testfiles/data/csvtext_BOM_UTF8.csv"),
        "Account",
        operation="insert",
        columns={"column1": "Name", "column2": "Site", "column3": None},
        org=org,
    )
    assert result.frame.columns[:3] == ["column1", "column2", "column3"]
    assert result.counts == {"created": 2}


def test_old_ids_that_the_org_does_not_know_fail_row_by_row(reference: Find, org: sf.Org) -> None:
    result = sf.write_sobject(
        reference("datasets/dataloader/testfiles/data/updateAccountCsvTemplate.csv"),
        "Account",
        operation="update",
        org=org,
    )
    assert set(result.counts) == {"failed"}
    assert set(result.frame["sf__ErrorCode"]) == {"INVALID_CROSS_REFERENCE_KEY"}
