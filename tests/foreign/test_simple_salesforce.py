"""simple-salesforce is content with the embedded org: logins, descriptions, queries, records, composite requests."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from simple_salesforce import api, bulk, bulk2
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

from tests.foreign import test_simple_salesforce_bulk, test_simple_salesforce_records
from tests.foreign.verdicts import judges, marked_checks, not_judged, not_offered, refusal

pytestmark = pytest.mark.slow


def works(client: Any) -> bool:
    return bool(client.limits()["DailyApiRequests"]["Max"] > 0)


@judges(
    "simple-salesforce",
    "Salesforce: login by password and security token (SOAP)",
    "Salesforce: login by password and organization (SOAP)",
    "Salesforce: login by password and consumer (OAuth)",
    "Salesforce: login by client credentials",
    "Salesforce: login by JWT",
    "Salesforce: session id",
    "Salesforce: a login that is refused",
)
def test_it_logs_in(served: dict[str, str], plain_http: requests.Session, private_key: str) -> None:
    consumer = {"consumer_key": served["client_id"], "consumer_secret": served["client_secret"]}
    user = {"username": served["username"], "password": served["password"]}
    login: Any = Salesforce
    by_soap = login(**user, security_token=served["security_token"], session=plain_http)
    organization = by_soap.query("SELECT Id FROM Organization")["records"][0]["Id"]
    by_consumer = {"username": served["username"], "password": served["password"] + served["security_token"]}
    clients = [
        by_soap,
        login(**by_consumer, organizationId=organization, session=plain_http),
        login(**by_consumer, **consumer, session=plain_http),
        login(**consumer, domain="mine.my", session=plain_http),
        login(
            username=served["username"],
            consumer_key=served["client_id"],
            privatekey=private_key,
            session=plain_http,
        ),
        login(instance_url=served["url"], session_id=served["access_token"], session=plain_http),
    ]
    assert [works(client) for client in clients] == [True] * 6
    with pytest.raises(SalesforceAuthenticationFailed) as refused:
        login(username=served["username"], password="wrong", security_token="", session=plain_http)
    assert (refused.value.code, refused.value.auth_message) == (
        "INVALID_LOGIN",
        "Invalid username, password, security token; or user locked out.",
    )
    with pytest.raises(SalesforceAuthenticationFailed) as unknown:
        login(consumer_key="nobody", consumer_secret="x", domain="mine.my", session=plain_http)
    assert (unknown.value.code, unknown.value.auth_message) == ("invalid_client_id", "client identifier invalid")


@judges("simple-salesforce", "Salesforce: a session that ended", "Salesforce.oauth2")
def test_a_session_that_ended_is_renewed_by_a_login(
    served: dict[str, str], plain_http: requests.Session, client: Any
) -> None:
    ended = Salesforce(instance_url=served["url"], session_id="00D000000000000!ended", session=plain_http)
    with pytest.raises(SalesforceExpiredSession) as expired:
        ended.query("SELECT Id FROM Account")
    assert refusal(expired) == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    user = {name: served[name] for name in ("username", "password", "security_token")}
    login: Any = Salesforce
    renewing = login(**user, session=plain_http)
    renewing.session_id = "00D000000000000!ended"
    renewing.headers["Authorization"] = f"Bearer {renewing.session_id}"
    assert works(renewing)
    assert renewing.session_id != "00D000000000000!ended"
    assert client.oauth2("userinfo")["preferred_username"] == served["username"]


@judges(
    "simple-salesforce",
    "Salesforce.describe",
    "Salesforce.limits",
    "Salesforce.is_sandbox",
    "SFType.describe",
    "SFType.metadata",
)
def test_it_describes_the_org_and_an_object(client: Any) -> None:
    everything = client.describe()
    assert (everything["encoding"], everything["maxBatchSize"]) == ("UTF-8", 200)
    assert {"Account", "Contact", "Opportunity"} <= {one["name"] for one in everything["sobjects"]}
    account = client.Account.describe()
    key = next(field for field in account["fields"] if field["name"] == "Ext_Id__c")
    assert (key["externalId"], key["unique"], key["length"], key["type"]) == (True, True, 20, "string")
    assert client.Account.metadata()["objectDescribe"]["name"] == "Account"
    with pytest.raises(SalesforceResourceNotFound):
        client.Nothing__c.describe()
    limits = client.limits()
    assert limits["DailyApiRequests"]["Max"] >= limits["DailyApiRequests"]["Remaining"] > 0
    assert client.is_sandbox() is True
    assert client.api_usage["api-usage"].used > 0


@judges(
    "simple-salesforce",
    "Salesforce.query",
    "Salesforce.query: errors",
    "Salesforce.query_more",
    "Salesforce.query_all",
    "Salesforce.query_all: include_deleted",
    "Salesforce.query_all_iter",
)
def test_it_queries_in_pages(client: Any) -> None:
    rows = [{"Name": f"Page {n:03d}", "Ext_Id__c": f"pq{n:03d}"} for n in range(450)]
    client.bulk2.Account.insert(records=rows, wait=0)
    soql = "SELECT Id, Name FROM Account WHERE Ext_Id__c LIKE 'pq%' ORDER BY Ext_Id__c"
    pages = {"headers": {"Sforce-Query-Options": "batchSize=200"}}
    names = [row["Name"] for row in rows]
    first = client.query(soql, **pages)
    assert (first["totalSize"], first["done"], len(first["records"])) == (450, False, 200)
    by_url = client.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    by_name = client.query_more(by_url["nextRecordsUrl"].rpartition("/")[2])
    assert (by_url["done"], by_name["done"], "nextRecordsUrl" in by_name) == (False, True, False)
    assert [one["Name"] for page in (first, by_url, by_name) for one in page["records"]] == names
    assert [one["Name"] for one in client.query_all(soql, **pages)["records"]] == names
    assert [one["Name"] for one in client.query_all_iter(soql, **pages)] == names
    client.Account.delete(first["records"][0]["Id"])
    assert client.query_all(soql)["totalSize"] == 449
    assert client.query_all(soql, include_deleted=True)["totalSize"] == 450
    for wrong, code in (
        ("SELECT Nothing FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nothing__c", "INVALID_TYPE"),
        ("SELECT", "MALFORMED_QUERY"),
    ):
        with pytest.raises(SalesforceMalformedRequest) as refused:
            client.query(wrong)
        assert [one["errorCode"] for one in refusal(refused)] == [code]


@judges("simple-salesforce", "Salesforce.search", "Salesforce.quick_search", "Salesforce.restful: recent")
def test_it_searches(client: Any) -> None:
    made = client.Account.create({"Name": "Numbatarium Ltd"})["id"]
    found = client.search("FIND {Numbatarium} IN ALL FIELDS RETURNING Account(Id, Name)")
    assert [(one["Id"], one["Name"]) for one in found["searchRecords"]] == [(made, "Numbatarium Ltd")]
    assert [one["Id"] for one in client.quick_search("Numbatarium")["searchRecords"]] == [made]
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.search("FIND Numbatarium")
    assert [one["errorCode"] for one in refusal(refused)] == ["MALFORMED_SEARCH"]
    client.query(f"SELECT Id FROM Account WHERE Id = '{made}' FOR VIEW")
    assert [(one["Id"], one["Name"]) for one in client.restful("recent", params={"limit": 1})] == [
        (made, "Numbatarium Ltd")
    ]


@judges("simple-salesforce", "SFType.upload_base64", "SFType.update_base64", "SFType.get_base64")
def test_it_uploads_and_downloads_a_file(client: Any, tmp_path: Path) -> None:
    file = tmp_path / "data.bin"
    file.write_bytes(bytes(range(256)))
    made = client.ContentVersion.create({"Title": "Data", "PathOnClient": "data.bin", "VersionData": "AAEC"})
    assert client.ContentVersion.get_base64(made["id"], "VersionData") == b"\x00\x01\x02"
    parent = client.Account.create({"Name": "Parent"})["id"]
    body = "aGVsbG8="
    attached = client.Attachment.create({"ParentId": parent, "Name": "hello.txt", "Body": body})["id"]
    assert client.Attachment.get_base64(attached) == b"hello"
    assert client.Attachment.update_base64(attached, str(file)) == 204
    assert client.Attachment.get_base64(attached) == bytes(range(256))
    with pytest.raises(SalesforceMalformedRequest) as alone:  # this call sends nothing but the body
        client.Attachment.upload_base64(str(file))
    assert refusal(alone)[0]["errorCode"] == "REQUIRED_FIELD_MISSING"


@judges("simple-salesforce", "Salesforce.toolingexecute")
def test_it_asks_the_tooling_api(client: Any) -> None:
    soql = "SELECT+QualifiedApiName+FROM+EntityDefinition+WHERE+QualifiedApiName='Account'"
    answer = client.toolingexecute(f"query?q={soql}")
    assert [one["QualifiedApiName"] for one in answer["records"]] == ["Account"]


def public(kind: type) -> set[str]:
    """The calls of a class, as a user names them."""
    own = kind.__name__.removeprefix("_")
    return {f"{own}.{name}" for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_every_call_of_simple_salesforce_is_judged_or_named_as_not_offered(
    record_property: Callable[[str, Any], None],
) -> None:
    kinds = (api.Salesforce, api.SFType, bulk.SFBulkHandler, bulk.SFBulkType, bulk2.SFBulk2Type, bulk2._Bulk2Client)
    offered = set[str]().union(*map(public, kinds))
    assert len(offered) > 60
    modules = [globals(), vars(test_simple_salesforce_bulk), vars(test_simple_salesforce_records)]
    checks = [check for module in modules for check in marked_checks("simple-salesforce", module)]
    record_property("not offered", ("simple-salesforce", not_offered("simple-salesforce", offered)))
    assert not_judged("simple-salesforce", offered, checks) == set()
