"""What one process learned of an object serves the next, as long as the org says that it still holds."""

from __future__ import annotations

import datetime as dt
import json
import stat
from email.utils import format_datetime
from pathlib import Path

import pytest

import sfframe as sf
from sfframe.connection.describe_cache import DescribeCache
from sfframe.connection.login import AccessToken
from sfframe.connection.org import Org
from sfframe.protocol.call import Reply
from sfframe.protocol.describe import Kept, describe_if_changed
from tests.connection.scripted_server import Answer, ScriptedServer, answer_json, serving

WIDGET = {"name": "Widget__c", "label": "Widget", "fields": [{"name": "Id", "type": "id"}]}
WIDER = {**WIDGET, "fields": [*WIDGET["fields"], {"name": "Size__c", "type": "double"}]}
ORG, USER = "00DWs000000XyZ1MAK", "005Ws000000AbC1IAK"
IDENTITY = f"https://login.salesforce.com/id/{ORG}/{USER}"


def process(server: ScriptedServer, folder: Path, *, identity_url=IDENTITY, session="00Dx!t"):
    """A connection such as another process would make."""
    return Org(
        server.url, AccessToken(session, identity_url=identity_url), describe_cache=DescribeCache(folder / "describes")
    )


class Described:
    """An org whose describe can change; answers 304 to whoever knows it."""

    def __init__(self) -> None:
        self.now = answer_json(WIDGET, headers={"ETag": '"one"'})

    def __call__(self, seen) -> Answer:
        known = self.now.headers["ETag"]
        return Answer(304, {"ETag": known}) if seen.headers.get("if-none-match") == known else self.now


@pytest.fixture
def answers():
    return Described()


@pytest.fixture
def server(answers):
    with serving(script=answers) as running:
        yield running


def test_a_second_process_asks_by_etag_and_takes_what_is_on_disk(server, tmp_path):
    with process(server, tmp_path) as first:
        described = first.describe("Widget__c")
    with process(server, tmp_path) as second:
        assert second.describe("WIDGET__C") == described
    assert [seen.headers.get("if-none-match") for seen in server.seen] == [None, '"one"']


def test_a_changed_object_replaces_what_was_kept(server, answers, tmp_path):
    with process(server, tmp_path) as first:
        first.describe("Widget__c")
    answers.now = answer_json(WIDER, headers={"ETag": '"two"'})
    with process(server, tmp_path) as second:
        assert second.describe("Widget__c").field("Size__c") is not None
    with process(server, tmp_path) as third:
        assert third.describe("Widget__c").field("Size__c") is not None
    assert [seen.headers.get("if-none-match") for seen in server.seen] == [None, '"one"', '"two"']


def test_a_fresh_describe_takes_nothing_from_the_disk(server, tmp_path):
    with process(server, tmp_path) as first:
        first.describe("Widget__c")
    with process(server, tmp_path) as second:
        second.describe("Widget__c", fresh=True)
    assert [seen.headers.get("if-none-match") for seen in server.seen] == [None, None]


def test_users_and_versions_do_not_share_and_only_the_owner_may_read(server, tmp_path):
    with process(server, tmp_path) as first:
        first.describe("Widget__c")
    others = [
        process(server, tmp_path, identity_url=IDENTITY.replace(USER, "005Ws000000AbC2IAK")),
        Org(
            server.url,
            AccessToken("00Dx!t", identity_url=IDENTITY),
            api_version="60.0",
            describe_cache=DescribeCache(tmp_path / "describes"),
        ),
    ]
    for one in others:
        with one:
            one.describe("Widget__c")
    assert [seen.headers.get("if-none-match") for seen in server.seen] == [None] * 3
    file = tmp_path / "describes" / ORG / USER / "v66.0" / "widget__c.json.gz"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert len(list(tmp_path.rglob("*.json.gz*"))) == 3


def test_a_bare_token_stands_for_org_and_user_and_is_not_in_the_files(server, tmp_path):
    session = "00DWs000000XyZ1!AQsecretsecret"
    for _ in range(2):
        with process(server, tmp_path, identity_url="", session=session) as one:
            one.describe("Widget__c")
    with process(server, tmp_path, identity_url="", session=f"{session}x") as other:
        other.describe("Widget__c")
    assert [seen.headers.get("if-none-match") for seen in server.seen] == [None, '"one"', None]
    assert not [path for path in tmp_path.rglob("*") if "AQsecret" in str(path)]


@pytest.mark.parametrize("damage", [b"", b"no gzip", None])
def test_a_file_that_cannot_be_read_is_as_good_as_none(server, tmp_path, damage):
    with process(server, tmp_path) as first:
        first.describe("Widget__c")
    [file] = tmp_path.rglob("*.json.gz")
    file.write_bytes(file.read_bytes()[:-9] if damage is None else damage)
    with process(server, tmp_path) as second:
        assert second.describe("Widget__c").name == "Widget__c"
    assert server.seen[-1].headers.get("if-none-match") is None


def test_names_that_are_no_file_names_are_not_kept(server, tmp_path):
    with process(server, tmp_path) as org:
        org.describe("../Widget__c")
    assert list(tmp_path.rglob("*.json.gz")) == []


@pytest.mark.parametrize(("seconds", "asked"), [(0, False), (1, False), (2, True), (3_600, True)])
def test_without_an_etag_only_a_date_that_is_older_than_its_second_is_sent(seconds, asked):
    """A field that is made in the second of the answer, but after it, has the same date (rest.md 6.5)."""
    changed = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
    stamp, now = format_datetime(changed, usegmt=True), format_datetime(changed + dt.timedelta(seconds=seconds), True)
    reply = Reply(200, {"last-modified": stamp, "date": now}, json.dumps(WIDGET).encode())
    _, kept = describe_if_changed("Widget__c", None).read(reply)
    assert dict(describe_if_changed("Widget__c", kept).headers) == ({"If-Modified-Since": stamp} if asked else {})


def test_the_etag_goes_with_the_date_for_orgs_that_know_only_one_of_them():
    kept = Kept(b"{}", '"one"', "Wed, 04 Mar 2026 05:06:07 GMT")
    assert dict(describe_if_changed("Widget__c", kept).headers) == {
        "If-None-Match": '"one"',
        "If-Modified-Since": "Wed, 04 Mar 2026 05:06:07 GMT",
    }


def test_the_embedded_org_confirms_what_is_kept_and_notices_a_new_field(local_org, tmp_path):
    def ask():
        with Org(
            local_org.url,
            AccessToken(local_org.credentials.access_token),
            describe_cache=DescribeCache(tmp_path / "describes"),
        ) as org:
            return org.describe("Account").field("Ext__c")

    assert ask() is None
    assert ask() is None
    local_org.deploy({"name": "Account", "fields": [{"name": "Ext__c", "type": "string", "length": 20}]})
    assert ask() is not None


def test_an_org_on_this_machine_has_no_files(local_org):
    with sf.connect(instance_url=local_org.url, access_token=local_org.credentials.access_token) as org:
        assert org._describe_cache is None
    with sf.connect(instance_url="https://acme.my.salesforce.com", access_token="00D!x") as org:
        assert org._describe_cache is not None
