"""Logins on the wire: SOAP, the OAuth flows, who is there, and sessions that end."""

from __future__ import annotations

import base64
import datetime as dt
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import httpx
import pytest

from sfframe.localorg import Clock, LocalOrg, Settings
from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.services.auth import Auth
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.store.store import Store

DATA = "/services/data/v60.0"
PARTNER = "{urn:partner.soap.sforce.com}"
JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
NO_LOGIN = "Invalid username, password, security token; or user locked out."


@pytest.fixture(scope="module")
def org() -> Iterator[LocalOrg]:
    with LocalOrg(seed=6) as org:
        yield org


@pytest.fixture
def stranger(org: LocalOrg) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=org.url, timeout=60) as client:
        yield client


def opens(client: httpx.Client, token: str) -> bool:
    return client.get(DATA, headers={"Authorization": f"Bearer {token}"}).status_code == 200


# How eight clients write the same login (clients.md, row 1).
BODIES = {
    "prefix n1 on login only": (
        '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body>'
        '<n1:login xmlns:n1="urn:partner.soap.sforce.com"><n1:username>{user}</n1:username>'
        "<n1:password>{password}</n1:password></n1:login></env:Body></env:Envelope>"
    ),
    "prefix urn and a scope": (
        '<?xml version="1.0" encoding="utf-8" ?>\n<soapenv:Envelope xmlns:urn="urn:partner.soap.sforce.com" '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Header><urn:LoginScopeHeader>'
        "<urn:organizationId>{org}</urn:organizationId></urn:LoginScopeHeader></soapenv:Header><soapenv:Body>"
        "<urn:login><urn:username>{user}</urn:username><urn:password>{password}</urn:password></urn:login>"
        "</soapenv:Body></soapenv:Envelope>"
    ),
    "no prefix": (
        '<se:Envelope xmlns:se="http://schemas.xmlsoap.org/soap/envelope/"><se:Header/><se:Body>'
        '<login xmlns="urn:partner.soap.sforce.com"><username>{user}</username><password>{password}</password>'
        "</login></se:Body></se:Envelope>"
    ),
}


def parsed(answer: httpx.Response) -> ET.Element:
    return ET.fromstring(answer.content)  # noqa: S314 - our own server wrote it


def soap(
    local: LocalOrg, body: str = BODIES["no prefix"], path: str = "/services/Soap/u/59.0", **given: str
) -> httpx.Response:
    known = local.credentials
    words = {"user": known.username, "password": known.password, "org": known.access_token[:15]} | given
    headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'}
    return httpx.post(local.url + path, content=body.format(**words), headers=headers)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_soap_login_opens_a_session_however_its_namespaces_are_written(
    org: LocalOrg, stranger: httpx.Client, body: str
) -> None:
    answer = soap(org, body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
    result = next(parsed(answer).iter(f"{PARTNER}result"))
    found = {one.tag.removeprefix(PARTNER): one.text for one in result}
    assert list(found) == [
        *("metadataServerUrl", "passwordExpired", "sandbox", "serverUrl", "sessionId", "userId", "userInfo"),
    ]
    assert opens(stranger, str(found["sessionId"]))
    assert found["serverUrl"] == f"{org.url}/services/Soap/u/59.0/{org.credentials.access_token[:15]}"
    info = {one.tag.removeprefix(PARTNER): one.text for one in result[-1]}
    assert (info["userName"], info["sessionSecondsValid"], info["roleId"]) == (org.credentials.username, "7200", None)
    assert (info["userId"], len(str(info["organizationId"]))) == (found["userId"], 18)


def test_the_security_token_may_be_glued_to_the_password(org: LocalOrg) -> None:
    known = org.credentials
    assert soap(org, password=known.password + known.security_token).status_code == 200
    assert soap(org, password=known.security_token).status_code == 500


def test_the_enterprise_login_answers_in_its_own_namespace(org: LocalOrg) -> None:
    answer = soap(org, path="/services/Soap/c/64.0/0DF000000000001")
    assert answer.status_code == 200
    found = next(parsed(answer).iter("{urn:enterprise.soap.sforce.com}serverUrl"))
    assert str(found.text).startswith(f"{org.url}/services/Soap/c/64.0/00D")


def test_a_refused_soap_login_is_the_recorded_fault_with_its_literal_prefixes(org: LocalOrg) -> None:
    for wrong in ({"password": "x"}, {"user": "who@else.example"}, {"org": "00D000000000000"}):
        answer = soap(org, BODIES["prefix urn and a scope"], **wrong)
        assert answer.status_code == 500
        assert answer.text == (
            '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
            'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>'
            f"<faultcode>sf:INVALID_LOGIN</faultcode><faultstring>INVALID_LOGIN: {NO_LOGIN}</faultstring><detail>"
            '<sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>'
            f"<sf:exceptionMessage>{NO_LOGIN}</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault>"
            "</soapenv:Body></soapenv:Envelope>"
        )


def test_soap_logout_ends_the_session_once(org: LocalOrg, stranger: httpx.Client) -> None:
    token = str(next(parsed(soap(org)).iter(f"{PARTNER}sessionId")).text)
    body = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header>'
        '<SessionHeader xmlns="urn:partner.soap.sforce.com"><sessionId>{token}</sessionId></SessionHeader></e:Header>'
        '<e:Body><logout xmlns="urn:partner.soap.sforce.com"/></e:Body></e:Envelope>'
    )
    first, again = soap(org, body, token=token), soap(org, body, token=token)
    assert (first.status_code, again.status_code) == (200, 500)
    assert not opens(stranger, token)
    assert "<faultcode>sf:INVALID_SESSION_ID</faultcode>" in again.text


def test_login_is_gone_from_version_65_on(org: LocalOrg) -> None:
    assert [soap(org, path=f"/services/Soap/u/{version}").status_code for version in ("31.0", "64.0", "65.0")] == [
        *(200, 200, 500),
    ]
    assert "No operation available" in soap(org, path="/services/Soap/u/65.0").text
    assert "UNSUPPORTED_API_VERSION" in soap(org, path="/services/Soap/u/30.0").text


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<a",
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>',
        "<x/>",
        '<?xml version="1.0" encoding="nothing"?><x/>',
    ],
)
def test_what_is_no_soap_is_a_fault_and_entities_are_not_read(org: LocalOrg, body: str) -> None:
    answer = httpx.post(f"{org.url}/services/Soap/u/59.0", content=body)
    assert answer.status_code == 500
    fault = next(parsed(answer).iter("faultcode"))
    assert fault.text == "soapenv:Client"


def part(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def assertion(org: LocalOrg, **changed: Any) -> str:
    claims = {
        "iss": org.credentials.client_id,
        "sub": org.credentials.username,
        "aud": "https://test.salesforce.com",
        "exp": time.time() + 180,
    }
    return f"{part({'alg': 'RS256'})}.{part(claims | changed)}.c2ln"


@pytest.mark.parametrize("form", ["seconds", "text", "milliseconds", "own audience", "legacy name"])
def test_a_jwt_opens_a_session_in_the_forms_that_clients_send(org: LocalOrg, stranger: httpx.Client, form: str) -> None:
    soon = int(time.time()) + 180
    forms: dict[str, dict[str, Any]] = {
        "seconds": {"exp": soon},
        "text": {"exp": str(soon)},  # simple-salesforce (rest.md 2.2)
        "milliseconds": {"exp": soon * 1000},  # sf CLI
        "own audience": {"aud": org.url},
        "legacy name": {"prn": org.credentials.username},
    }
    changed = forms[form]
    answer = stranger.post("/services/oauth2/token", data={"grant_type": JWT, "assertion": assertion(org, **changed)})
    assert list(answer.json()) == ["access_token", "scope", "instance_url", "id", "token_type"]
    assert opens(stranger, answer.json()["access_token"])


@pytest.mark.parametrize(
    ("changed", "error", "description"),
    [
        ({"iss": "x"}, "invalid_client_id", "client identifier invalid"),
        ({"sub": "who@else.example"}, "invalid_grant", "user hasn't approved this consumer"),
        ({"aud": "https://elsewhere.example"}, "invalid_grant", "audience is invalid"),
        ({"aud": "https://["}, "invalid_grant", "audience is invalid"),
        ({"exp": 1_700_000_000}, "invalid_grant", "expired authorization code"),
        ({"exp": "soon"}, "invalid_grant", "invalid assertion"),
        ({"exp": None}, "invalid_grant", "invalid assertion"),
        ({"iss": "\ud800"}, "invalid_client_id", "client identifier invalid"),
    ],
)
def test_a_jwt_with_a_wrong_claim_is_refused(
    org: LocalOrg, stranger: httpx.Client, changed: dict[str, Any], error: str, description: str
) -> None:
    answer = stranger.post("/services/oauth2/token", data={"grant_type": JWT, "assertion": assertion(org, **changed)})
    assert (answer.status_code, answer.json()) == (400, {"error": error, "error_description": description})


@pytest.mark.parametrize("text", ["", "a.b.c", "e30.W10.x", "e30.e30", "\N{LATIN SMALL LETTER E WITH ACUTE}.e30.x"])
def test_what_is_no_jwt_is_an_invalid_assertion(stranger: httpx.Client, text: str) -> None:
    answer = stranger.post("/services/oauth2/token", data={"grant_type": JWT, "assertion": text})
    assert (answer.status_code, answer.json()["error_description"]) == (400, "invalid assertion")


def test_a_refresh_token_opens_new_sessions_with_or_without_the_clients_secret(
    org: LocalOrg, stranger: httpx.Client
) -> None:
    known = org.credentials
    form = {"grant_type": "refresh_token", "refresh_token": known.refresh_token, "client_id": known.client_id}
    # The verifier is surplus: jsforce sends it with every token request (rest.md 2.1).
    answers = [
        stranger.post("/services/oauth2/token", data=form | {"code_verifier": "x"}),
        stranger.post("/services/oauth2/token", params=form | {"client_secret": known.client_secret}),
    ]
    for answer in answers:
        assert list(answer.json()) == [
            *("access_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at"),
        ]
        assert opens(stranger, answer.json()["access_token"])
    for changed, words in (
        ({"refresh_token": "x"}, {"error": "invalid_grant", "error_description": "expired access/refresh token"}),
        ({"client_secret": "x"}, {"error": "invalid_client", "error_description": "invalid client credentials"}),
    ):
        refused = stranger.post("/services/oauth2/token", data=form | changed)
        assert (refused.status_code, refused.json()) == (400, words)


def test_a_form_may_come_in_chunks(org: LocalOrg, stranger: httpx.Client) -> None:
    known = org.credentials
    form = httpx.QueryParams(
        grant_type="client_credentials", client_id=known.client_id, client_secret=known.client_secret
    )
    pieces = (str(form)[start : start + 7].encode() for start in range(0, len(str(form)), 7))
    answer = stranger.post("/services/oauth2/token", content=pieces)
    assert "transfer-encoding" in answer.request.headers
    assert opens(stranger, answer.json()["access_token"])


def test_revoking_what_is_no_token_is_an_error_in_form_encoding(stranger: httpx.Client) -> None:
    answer = stranger.post("/services/oauth2/revoke", data={"token": "x"})
    assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0], answer.text) == (
        400,
        "application/x-www-form-urlencoded",
        "error=unsupported_token_type&error_description=this+token+type+is+not+supported",
    )


def test_a_client_can_ask_what_became_of_a_token(org: LocalOrg, stranger: httpx.Client) -> None:
    known = org.credentials
    client = {"client_id": known.client_id, "client_secret": known.client_secret}
    token = stranger.post("/services/oauth2/token", data={"grant_type": "client_credentials"} | client).json()
    asked = client | {"token": token["access_token"]}
    told = stranger.post("/services/oauth2/introspect", data=asked).json()
    assert (told["active"], told["sub"], told["exp"] - told["iat"]) == (True, token["id"], 7200)
    stranger.post("/services/oauth2/revoke", data=asked)
    assert stranger.post("/services/oauth2/introspect", data=asked).json() == {"active": False}
    refused = stranger.post("/services/oauth2/introspect", data=asked | {"client_secret": "x"})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client")


def test_single_access_gives_an_address_for_the_browser_to_those_who_are_in(
    org: LocalOrg, stranger: httpx.Client
) -> None:
    assert stranger.get("/services/oauth2/singleaccess").status_code == 401
    session = {"Authorization": f"Bearer {org.credentials.access_token}"}
    answer = stranger.get("/services/oauth2/singleaccess?redirect_uri=lightning", headers=session).json()
    address = urlsplit(answer["frontdoor_uri"])
    assert (address.path, parse_qs(address.query)["startURL"]) == ("/secur/frontdoor.jsp", ["lightning"])


def test_the_identity_puts_the_version_into_its_urls_when_asked(org: LocalOrg, stranger: httpx.Client) -> None:
    token = org.credentials.access_token
    url = stranger.get(DATA, headers={"X-SFDC-Session": token}).json()["identity"]
    plain, latest, named = (
        stranger.get(url, params={"oauth_token": token} | more).json()["urls"]
        for more in ({}, {"version": "latest"}, {"version": "58.0"})
    )
    assert plain["query"] == f"{org.url}/services/data/v{{version}}/query/"
    assert latest["tooling_rest"] == f"{org.url}/services/data/v67.0/tooling/"
    assert named["partner"] == f"{org.url}/services/Soap/u/58.0/{token[:15]}"


def test_userinfo_tells_the_users_own_zone_and_address(org: LocalOrg, stranger: httpx.Client) -> None:
    session = {"Authorization": f"Bearer {org.credentials.access_token}"}
    before = stranger.get("/services/oauth2/userinfo", headers=session).json()
    assert (before["utcOffset"], before["address"], before["user_type"]) == (0, {}, "STANDARD")
    with org._store.writing, org._store.cursor() as cursor:
        cursor.execute('UPDATE data."User" SET "TimeZoneSidKey" = \'Asia/Kolkata\', "City" = \'Pune\'')
    after = stranger.get("/services/oauth2/userinfo", headers=session).json()
    assert (after["zoneinfo"], after["utcOffset"], after["address"]) == (
        "Asia/Kolkata",
        19_800_000,
        {"locality": "Pune"},
    )
    with org._store.writing, org._store.cursor() as cursor:
        cursor.execute('UPDATE data."User" SET "TimeZoneSidKey" = \'GMT\', "City" = NULL')


def test_a_session_ends_so_many_seconds_after_its_last_use(tmp_path: Path) -> None:
    clock = Clock(dt.datetime(2026, 3, 4))
    store = Store(tmp_path / "org.duckdb", Catalogue.standard(), Settings(session_seconds=100), clock)
    try:
        auth = Auth(store)
        used, unused, lasting = auth.open_session(), auth.open_session(), auth.open_session(lasting=True)
        clock.advance(seconds=100)
        auth.check(used)  # in time, and the time counts anew
        clock.advance(seconds=100)
        auth.check(used)
        auth.check(lasting)
        with pytest.raises(ServiceError) as refused:
            auth.check(unused)
        assert (refused.value.status, refused.value.code) == (401, "INVALID_SESSION_ID")
        clock.advance(seconds=100.5)
        assert auth.find(used) is None
        assert auth.find(lasting) is not None
    finally:
        store.close()
