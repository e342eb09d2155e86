"""``sfframe changes``: a process for each call, on an org that is a file."""

from __future__ import annotations

import polars as pl
import pytest

import sfframe as sf


@pytest.fixture
def org_file(tmp_path):
    """The file of an org with two accounts, and what changes it while no process has it open."""
    path = tmp_path / "org.duckdb"

    def change(work):
        with sf.LocalOrg(path) as local, sf.connect(local) as connection:
            return work(local, connection)

    change(lambda local, _: local.insert("Account", pl.DataFrame({"Name": ["one", "two"]})))
    return change


def test_each_call_writes_what_happened_since_the_one_before(command, tmp_path, org_file):
    """The calls follow within a second or two: what they have given is told apart by hashes of another process."""
    call = ("changes", "Account", "--org", f"local:{tmp_path / 'org.duckdb'}", "--state", "state.json")
    first = command(*call, "-o", "first.parquet", "--columns", "Name, Rating")
    assert (first.returncode, first.stderr) == (0, "2 rows in first.parquet, 0 deleted in first.deleted.parquet\n")
    stored = pl.read_parquet(tmp_path / "first.parquet")
    assert stored.columns == ["Id", "Name", "Rating", "SystemModstamp"]

    def work(local, connection):
        one, two = (stored.filter(Name=name)["Id"].item() for name in ("one", "two"))
        local.insert("Account", pl.DataFrame({"Name": ["three"]}))
        sf.write_sobject([{"Id": one, "Rating": "Hot"}], "Account", operation="update", org=connection)
        sf.write_sobject([{"Id": two}], "Account", operation="delete", org=connection)
        return two

    two = org_file(work)
    second = command(*call, "-o", "second.csv", "--columns", "Name,Rating")
    assert (second.returncode, second.stderr) == (0, "2 rows in second.csv, 1 deleted in second.deleted.csv\n")
    rows = pl.read_csv(tmp_path / "second.csv").select("Name", "Rating").sort("Name")
    assert rows.rows() == [("one", "Hot"), ("three", None)]
    assert pl.read_csv(tmp_path / "second.deleted.csv")["Id"].to_list() == [two]
    third = command(*call, "-o", "third.jsonl", "--deleted", "gone.jsonl", "--columns", "Name,Rating")
    assert (third.returncode, third.stderr) == (0, "0 rows in third.jsonl, 0 deleted in gone.jsonl\n")


def test_the_state_moves_only_when_the_files_are_written(command, tmp_path, org_file):
    call = ("changes", "Account", "--org", f"local:{tmp_path / 'org.duckdb'}", "--state", "state.json")
    (tmp_path / "out.csv").write_text("not stored yet")
    refused = command(*call, "-o", "out.csv", "--columns", "Name")
    assert refused.returncode == 2
    assert "may hold changes of an earlier call" in refused.stderr
    assert (tmp_path / "out.csv").read_text() == "not stored yet"
    (tmp_path / ".out.deleted.csv.part").mkdir()  # so that the file cannot be written
    broken = command(*call, "-o", "out.csv", "--columns", "Name", "--replace")
    assert broken.returncode != 0
    assert not (tmp_path / "state.json").exists()
    again = command(*call, "-o", "out.csv", "--columns", "Name", "--replace")
    assert again.returncode == 0
    assert pl.read_csv(tmp_path / "out.csv")["Name"].to_list() == ["one", "two"]
    assert (tmp_path / "state.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "out.xls"], "format"),
        (["-o", "out.csv", "--since", "yesterday"], "--since: 'yesterday' is no time"),
        (["-o", "out.csv", "--since", "2026-03-04"], "since has no zone"),
    ],
    ids=["ending", "no time", "no zone"],
)
def test_wrong_words_are_refused(command, words, said):
    done = command("changes", "Account", "--org", "local", "--state", "s.json", *words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
