"""The login's exchanges, byte for byte."""

import base64
from datetime import UTC, datetime

import pytest

from sfframe.protocol.call import Reply
from sfframe.protocol.error_body import answer
from sfframe.protocol.json_body import UnreadableAnswer
from sfframe.protocol.oauth import Identity, Token, client_credentials, identity_from_url, userinfo

ANSWER = (
    b'{"access_token":"00Dx!abc","signature":"s","instance_url":"https://acme.my.salesforce.com",'
    b'"id":"https://login.salesforce.com/id/00DAB0000000abcMAA/005AB000000XyzAYAS","token_type":"Bearer",'
    b'"issued_at":"1278448384422"}'
)


def test_client_credentials_send_the_pair_in_the_basic_header():
    call = client_credentials("3MVG9+key", "s:ecret")
    assert (call.method, call.path, call.body) == ("POST", "/services/oauth2/token", b"grant_type=client_credentials")
    kind, _, pair = call.headers["Authorization"].partition(" ")
    assert (kind, base64.b64decode(pair)) == ("Basic", b"3MVG9%2Bkey:s%3Aecret")
    assert (call.repeatable, call.authorised) == (True, False)


def test_client_credentials_can_go_into_the_form():
    call = client_credentials("key", "se cret", in_body=True)
    assert call.body == b"grant_type=client_credentials&client_id=key&client_secret=se+cret"
    assert "Authorization" not in call.headers


def test_neither_the_secret_nor_the_token_is_in_a_repr():
    for call in (client_credentials("key", "hush"), client_credentials("key", "hush", in_body=True)):
        assert "hush" not in repr(call)
        assert base64.b64encode(b"key:hush").decode() not in repr(call)
    assert "00Dx!abc" not in repr(answer(client_credentials("key", "hush"), Reply(200, {}, ANSWER)))
    assert "00Dx!abc" not in repr(Reply(200, {}, ANSWER))


def test_a_token_answer_is_read():
    assert client_credentials("k", "s").read(Reply(200, {}, ANSWER)) == Token(
        "00Dx!abc",
        "https://acme.my.salesforce.com",
        "https://login.salesforce.com/id/00DAB0000000abcMAA/005AB000000XyzAYAS",
        datetime(2010, 7, 6, 20, 33, 4, 422000, UTC),
    )


def test_a_token_answer_without_time_and_urls_is_read():
    assert client_credentials("k", "s").read(Reply(200, {}, b'{"access_token":"t"}')) == Token("t")


def test_an_answer_without_a_token_is_no_login():
    with pytest.raises(UnreadableAnswer, match="access_token"):
        client_credentials("k", "s").read(Reply(200, {}, b"{}"))


def test_userinfo_is_read_to_the_ids_and_the_username():
    body = (
        b'{"sub":"x","user_id":"005AB000000Xyza","organization_id":"00DAB0000000abc2AA","preferred_username":"e@x.com"}'
    )
    assert userinfo().read(Reply(200, {}, body)) == Identity(
        username="e@x.com", user_id="005AB000000XyzaYAC", organization_id="00DAB0000000abc2AA"
    )


def test_an_identity_url_names_the_ids():
    found = identity_from_url("https://login.salesforce.com/id/00DAB0000000abc/005AB000000Xyza")
    assert found == Identity(user_id="005AB000000XyzaYAC", organization_id="00DAB0000000abc2AA")
    assert identity_from_url("https://login.salesforce.com/") == Identity()
