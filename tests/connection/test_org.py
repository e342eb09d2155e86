"""Org against a real server: login, refresh, describe cache, identity, and silence about secrets."""

import json
import logging
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sfframe.connection.login import AccessToken, ClientCredentials
from sfframe.connection.org import Org
from sfframe.errors import ApiError, AuthenticationError, ConnectionFailed, NotFound, UsageError
from sfframe.protocol import bulk2_ingest, query
from sfframe.protocol.call import Call, read_bytes
from sfframe.protocol.limits import ApiUsage, Limit
from sfframe.protocol.oauth import Identity
from tests.connection.scripted_server import Answer, Seen, answer_json, serving

EXPIRED = answer_json([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401)
UNKNOWN = answer_json([{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}], 404)
ORGANIZATION = {
    "attributes": {"type": "Organization"},
    "Name": "Acme",
    "IsSandbox": False,
    "OrganizationType": "Enterprise Edition",
    "InstanceName": "EU1",
    "TrialExpirationDate": None,
}
ACCOUNT = {
    "name": "Account",
    "label": "Account",
    "keyPrefix": "001",
    "queryable": True,
    "fields": [{"name": "Id", "type": "id", "label": "Id"}],
}


class SomeOrg:
    """Gives tokens that end, and the few resources that an Org asks by itself."""

    def __init__(self) -> None:
        self.logins = 0
        self.good: set[str] = set()
        self.lock = threading.Lock()
        self.organization: dict[str, object] = dict(ORGANIZATION)
        self.modified = "Wed, 04 Mar 2026 05:06:07 GMT"
        self.overrides: dict[str, Answer] = {}

    def expire(self) -> None:
        self.good.clear()

    def __call__(self, seen: Seen) -> Answer:
        path = seen.target.partition("?")[0]
        if path == "/services/oauth2/token":
            with self.lock:
                self.logins += 1
                token = f"00Dsecret!{self.logins}"
                self.good.add(token)
            return answer_json({"access_token": token, "id": "https://x/id/00DAB0000000abc/005AB000000Xyza"})
        if seen.headers.get("authorization", "").removeprefix("Bearer ") not in self.good:
            return EXPIRED
        if path in self.overrides:
            return self.overrides[path]
        return self.resource(path.removeprefix("/services/data/v66.0/"), seen)

    def resource(self, path: str, seen: Seen) -> Answer:
        usage = {"Sforce-Limit-Info": "api-usage=25/5000"}
        if path == "/services/oauth2/userinfo":
            who = {
                "preferred_username": "eve@acme.com",
                "user_id": "005AB000000Xyza",
                "organization_id": "00DAB0000000abc",
            }
            return answer_json(who, headers=usage)
        if path == "query":
            return answer_json({"totalSize": 1, "done": True, "records": [self.organization]}, headers=usage)
        if path == "limits":
            return answer_json({"DailyApiRequests": {"Max": 5000, "Remaining": 4975}}, headers=usage)
        if path == "sobjects":
            names = ["Account", "Contact", "Widget__c", "Opportunity"]
            return answer_json(
                {"sobjects": [{"name": name, "label": name, "queryable": True} for name in names]}, headers=usage
            )
        if path.casefold() == "sobjects/account/describe":
            if seen.headers.get("if-modified-since") == self.modified:
                return Answer(304)
            return answer_json(ACCOUNT, headers={"Last-Modified": self.modified, **usage})
        if path == "large":
            return Answer(200, usage, b"x" * 100_000)
        return UNKNOWN


@pytest.fixture
def some_org():
    return SomeOrg()


@pytest.fixture
def server(some_org):
    with serving(script=some_org) as running:
        yield running


@pytest.fixture
def org(server):
    with Org(server.url, ClientCredentials("key", "hush-secret")) as connection:
        yield connection


def paths(server) -> list[str]:
    return [one.target.partition("?")[0].removeprefix("/services/data/v66.0/") for one in server.seen]


def test_nothing_is_sent_before_the_first_use(org, server):
    assert (server.seen, org.calls, org.api_usage) == ([], 0, None)
    assert org.limits() == {"DailyApiRequests": Limit(5000, 4975)}
    assert paths(server) == ["/services/oauth2/token", "limits"]
    assert (org.calls, org.api_usage) == (2, ApiUsage(25, 5000))


def test_one_login_serves_all_calls(org, some_org):
    org.limits()
    org.limits()
    assert some_org.logins == 1


def test_an_ended_session_is_renewed_and_the_call_repeated_once(org, some_org, server):
    org.limits()
    some_org.expire()
    assert org.limits() == {"DailyApiRequests": Limit(5000, 4975)}
    assert paths(server) == ["/services/oauth2/token", "limits", "limits", "/services/oauth2/token", "limits"]


def test_a_session_that_stays_refused_is_an_error_after_one_renewal(org, some_org):
    some_org.overrides["/services/data/v66.0/limits"] = EXPIRED
    with pytest.raises(AuthenticationError) as caught:
        org.limits()
    assert (caught.value.error_code, some_org.logins) == ("INVALID_SESSION_ID", 2)


@pytest.mark.parametrize(
    "text", ["This session is not valid for use with the REST API", "Connected app is not attached to Agent"]
)
def test_a_refusal_that_no_token_cures_is_not_answered_with_a_login(org, some_org, text):
    refused = answer_json([{"message": text, "errorCode": "INVALID_SESSION_ID"}], 401)
    some_org.overrides["/services/data/v66.0/limits"] = refused
    with pytest.raises(AuthenticationError, match=text[:20]):
        org.limits()
    assert some_org.logins == 1


def test_many_threads_that_find_the_session_ended_log_in_once(org, some_org):
    org.limits()
    some_org.expire()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: org.limits()["DailyApiRequests"].max, range(8)))
    assert (answers, some_org.logins) == ([5000] * 8, 2)


def test_an_upload_is_sent_again_whole_after_a_renewal(org, some_org, server, tmp_path):
    file = tmp_path / "part.csv"
    file.write_bytes(b"Name\nx\n")
    org.limits()
    some_org.expire()
    with pytest.raises(NotFound):
        org.send(bulk2_ingest.upload("750AB00000XyZ01YAF", file))
    assert [one.body for one in server.seen if one.method == "PUT"] == [b"Name\nx\n", b"Name\nx\n"]


def test_an_access_token_that_has_ended_says_what_to_do(server):
    with Org(server.url, AccessToken("00Dold!token")) as org, pytest.raises(AuthenticationError) as caught:
        org.limits()
    assert caught.value.remedy == "Get a new access token, or check the client id and secret of this profile."


def test_a_refused_login_speaks_in_the_orgs_words():
    refused = answer_json({"error": "invalid_client", "error_description": "invalid client credentials"}, 400)
    with (
        serving(refused) as server,
        Org(server.url, ClientCredentials("key", "hush-secret")) as org,
        pytest.raises(AuthenticationError) as caught,
    ):
        org.limits()
    assert caught.value.said == "invalid_client: invalid client credentials"
    assert "hush" not in f"{caught.value!r}{caught.value}{caught.value.__dict__}"


def test_a_login_at_another_host_sends_only_the_login_there(server):
    with serving(answer_json({"access_token": "00Dsecret!1"})) as login_host:
        server.script.good.add("00Dsecret!1")
        with Org(server.url, ClientCredentials("key", "hush", login_url=login_host.url)) as org:
            org.limits()
        assert login_host.asked == ["POST /services/oauth2/token"]
        assert paths(server) == ["limits"]


def test_the_query_goes_into_the_address_escaped(org, server):
    org.send(query.query("SELECT Name FROM Account WHERE Name = 'A&B + C%'"))
    assert server.seen[-1].target == (
        "/services/data/v66.0/query?q=SELECT%20Name%20FROM%20Account%20WHERE%20Name%20%3D%20%27A%26B%20%2B%20C%25%27"
    )


def test_a_path_from_the_root_is_taken_as_it_is(org, some_org):
    some_org.overrides["/services/data/v60.0/query/0r8-2000"] = answer_json(
        {"totalSize": 1, "done": True, "records": []}
    )
    assert org.send(query.query_more("/services/data/v60.0/query/0r8-2000")).done is True


def test_describe_is_asked_once_whatever_the_case_of_the_name(org, server):
    assert org.describe("Account") is org.describe("ACCOUNT")
    assert paths(server) == ["/services/oauth2/token", "sobjects/Account/describe"]


def test_a_fresh_describe_asks_again_whatever_the_dates(org, some_org, server):
    known = org.describe("Account")
    renewed = org.describe("account", fresh=True)
    assert "if-modified-since" not in server.seen[-1].headers
    assert paths(server).count("sobjects/Account/describe") + paths(server).count("sobjects/account/describe") == 2
    assert renewed == known
    assert org.describe("Account") is renewed


def test_an_unknown_object_is_answered_with_near_names(org):
    with pytest.raises(NotFound) as caught:
        org.describe("Widgets")
    assert caught.value.what == "the org has no object 'Widgets', or this user may not see it"
    assert caught.value.remedy == "Did you mean Widget__c?"
    assert (caught.value.status, caught.value.error_code) == (404, "NOT_FOUND")
    with pytest.raises(NotFound, match="objects"):
        org.describe("Zzyzx")


def test_an_empty_object_name_is_refused_before_anything_is_sent(org, server):
    with pytest.raises(UsageError):
        org.describe(" ")
    assert server.seen == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, "production"),
        ({"IsSandbox": True}, "sandbox"),
        ({"IsSandbox": True, "TrialExpirationDate": "2026-04-01T00:00:00.000+0000"}, "scratch"),
        ({"OrganizationType": "Developer Edition"}, "developer"),
        ({"TrialExpirationDate": "2026-04-01T00:00:00.000+0000"}, "trial"),
    ],
)
def test_identity_names_user_org_and_kind_and_is_asked_once(org, some_org, server, change, kind):
    some_org.organization.update(change)
    assert org.identity == Identity("eve@acme.com", "005AB000000XyzaYAC", "00DAB0000000abc2AA", "Acme", kind)
    assert org.identity.kind == kind
    assert len(server.seen) == 3


def test_identity_without_the_scope_and_without_access_to_organization_still_names_the_ids(org, some_org):
    no = answer_json([{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}], 403)
    some_org.overrides.update({"/services/oauth2/userinfo": no, "/services/data/v66.0/query": no})
    assert org.identity == Identity(user_id="005AB000000XyzaYAC", organization_id="00DAB0000000abc2AA")


def test_a_stream_gives_the_body_in_pieces_and_renews_an_ended_session(org, some_org):
    call = Call("GET", "large", read_bytes, repeatable=True)
    org.limits()
    some_org.expire()
    with org.stream(call) as got:
        assert b"".join(got.chunks()) == b"x" * 100_000
    assert (some_org.logins, org.api_usage) == (2, ApiUsage(25, 5000))


def test_a_stream_of_an_error_raises_it(org):
    with pytest.raises(NotFound), org.stream(Call("GET", "nothing", read_bytes, repeatable=True)):
        raise AssertionError("never entered")


def test_a_page_that_is_not_an_orgs_is_an_error_that_says_so():
    with (
        serving(Answer(200, body=b"<html><title>Welcome to the hotel</title></html>")) as server,
        Org(server.url, AccessToken("00Dx!y")) as org,
        pytest.raises(ApiError) as caught,
    ):
        org.limits()
    assert caught.value.said == "Welcome to the hotel"


def test_closing_runs_on_close_once_and_ends_all_use(server):
    closed = []
    org = Org(server.url, AccessToken("00Dx!y"), on_close=lambda: closed.append(1))
    org.close()
    org.close()
    assert (closed, org.closed) == ([1], True)
    for use in (org.limits, lambda: org.identity, lambda: org.describe("Account"), org.__enter__):
        with pytest.raises(UsageError, match="closed"):
            use()
    with (
        pytest.raises(UsageError, match="closed"),
        org.stream(bulk2_ingest.results("750AB00000XyZ01YAF", "failedResults")),
    ):
        raise AssertionError("never entered")


def test_the_repr_names_where_and_who_and_never_a_secret(org, some_org, server):
    assert repr(org) == f"Org(instance_url='{server.url}', api_version='66.0')"
    assert org.identity.username == "eve@acme.com"
    assert repr(org) == (
        f"Org(instance_url='{server.url}', api_version='66.0', username='eve@acme.com', organization='Acme', "
        "kind='production')"
    )
    for text in (repr(org), org._repr_html_(), repr(org._credentials), repr(AccessToken("00Dsecret!x"))):
        assert "secret" not in text


def test_the_notebook_form_escapes_what_the_org_says(org, some_org):
    some_org.organization["Name"] = "<b>Acme & Co</b>"
    assert org.identity.kind == "production"
    assert "<td>&lt;b&gt;Acme &amp; Co&lt;/b&gt;</td>" in org._repr_html_()


def test_an_org_is_not_pickled_and_the_error_says_what_to_do(org):
    with pytest.raises(UsageError, match="cannot be pickled"):
        pickle.dumps(org)


def test_no_log_line_of_a_whole_session_holds_a_secret(org, some_org, caplog):
    with caplog.at_level(logging.DEBUG):
        org.limits()
        some_org.expire()
        org.limits()
        with pytest.raises(NotFound):
            org.describe("Nope")
    assert "secret" not in caplog.text
    assert json.dumps("hush") not in caplog.text


def test_a_lost_connection_names_host_place_and_remedy():
    with serving(Answer(raw=b"")) as server, Org(server.url, AccessToken("00Dx!y")) as org:
        call = bulk2_ingest.close("750AB00000XyZ01YAF")
        with pytest.raises(ConnectionFailed) as caught:
            org.send(call)
    host = server.url.removeprefix("http://")
    assert str(caught.value) == (
        f"PATCH jobs/ingest/750AB00000XyZ01YAF: the connection to {host} was lost (RemoteProtocolError)\n"
        "Try again; what was done so far is kept."
    )
    assert caught.value.job_id == "750AB00000XyZ01YAF"
