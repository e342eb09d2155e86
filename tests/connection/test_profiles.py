"""Settings from the environment, and addresses as people write them."""

import subprocess
import sys

import pytest

from sfframe.connection.login import AccessToken, ClientCredentials
from sfframe.connection.profiles import Profile, checked_api_version, checked_instance_url, from_environment
from sfframe.errors import UsageError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        (" https://ACME.my.salesforce.com/ ", "https://acme.my.salesforce.com"),
        ("my.salesforce.com", "https://my.salesforce.com"),
        ("acme", "https://acme.my.salesforce.com"),
        ("acme.my", "https://acme.my.salesforce.com"),
        ("acme--uat.sandbox.my.salesforce.com", "https://acme--uat.sandbox.my.salesforce.com"),
        ("https://acme.lightning.force.com/lightning/page/home", "https://acme.my.salesforce.com"),
        ("acme--uat.sandbox.lightning.force.com", "https://acme--uat.sandbox.my.salesforce.com"),
        ("https://acme.my.salesforce-setup.com/lightning/setup", "https://acme.my.salesforce.com"),
        ("https://acme.my.salesforce.com/services/data/v66.0", "https://acme.my.salesforce.com"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://gateway.example.com:8443", "https://gateway.example.com:8443"),
    ],
)
def test_addresses_become_the_root_of_the_api_host(given, expected):
    assert checked_instance_url(given) == expected


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "is empty"),
        ("http://acme.my.salesforce.com", "in the clear"),
        ("http://127.evil.com", "in the clear"),
        ("https://login.salesforce.com", "login page"),
        ("test", "login page"),
        ("https://gateway.example.com/salesforce", "has a path"),
        ("https://eve:hush@acme.my.salesforce.com", "user name or password"),
        ("https://acme.my.site.com", "a site of an org"),
        ("ftp://acme.my.salesforce.com", "not a web address"),
        ("https://a b.example.com", "names no host"),
        ("https://acme.my.salesforce.com:port", "not an address"),
    ],
)
def test_what_is_no_org_is_refused_with_a_remedy(given, why):
    with pytest.raises(UsageError, match=why) as caught:
        checked_instance_url(given)
    assert "https://yourdomain.my.salesforce.com" in caught.value.remedy
    assert "hush" not in str(caught.value)


def test_a_session_in_an_address_is_not_repeated():
    with pytest.raises(UsageError) as caught:
        checked_instance_url("https://gateway.example.com/secur/frontdoor.jsp?sid=00Dsecret!x#sid=00Dsecret!x")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("given", ["66", "66.0", "v66.0", " V66 "])
def test_versions_are_written_in_one_form(given):
    assert checked_api_version(given) == "66.0"


@pytest.mark.parametrize("given", ["", "30.0", "66.1", "latest"])
def test_what_is_no_version_is_refused(given):
    with pytest.raises(UsageError):
        checked_api_version(given)


def test_the_environment_gives_a_profile():
    found = from_environment(
        {
            "SF_INSTANCE_URL": "acme.my.salesforce.com",
            "SF_CLIENT_ID": "key",
            "SF_CLIENT_SECRET": "hush",
            "SF_API_VERSION": "62",
            "SF_TIMEZONE": "Europe/Berlin",
        }
    )
    assert found == Profile(
        "https://acme.my.salesforce.com",
        client_id="key",
        client_secret="hush",
        api_version="62.0",
        timezone="Europe/Berlin",
    )
    assert isinstance(found.credentials(), ClientCredentials)


@pytest.mark.parametrize(
    "names",
    [
        {"SF_ORG_INSTANCE_URL": "acme", "SF_ACCESS_TOKEN": "00Dx!y"},
        {"SF_DOMAIN": "acme.my", "SALESFORCE_ACCESS_TOKEN": "00Dx!y", "SF_ORG_API_VERSION": "66.0"},
        {"SALESFORCE_INSTANCE_URL": "acme", "SALESFORCE_ACCESS_TOKEN": "00Dx!y", "SALESFORCE_API_VERSION": "66"},
        {"SF_INSTANCE_URL": "  ", "SALESFORCE_DOMAIN": "acme", "SF_ACCESS_TOKEN": "00Dx!y"},
    ],
)
def test_the_names_of_other_tools_are_read_as_well(names):
    assert from_environment(names) == Profile("https://acme.my.salesforce.com", access_token="00Dx!y")


def test_an_access_token_goes_before_client_credentials():
    given = {"SF_INSTANCE_URL": "acme", "SF_ACCESS_TOKEN": "00Dx!y", "SF_CLIENT_ID": "k", "SF_CLIENT_SECRET": "s"}
    assert isinstance(from_environment(given).credentials(), AccessToken)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "SF_INSTANCE_URL"),
        ({"SF_INSTANCE_URL": "acme"}, "SF_ACCESS_TOKEN"),
        ({"SF_INSTANCE_URL": "acme", "SF_CLIENT_ID": "k"}, "only one is given"),
    ],
)
def test_what_is_missing_is_named(environment, named):
    with pytest.raises(UsageError, match=named):
        from_environment(environment)


def test_secrets_are_not_in_the_repr_of_a_profile():
    assert "hush" not in repr(Profile("acme", access_token="hush", client_id="k", client_secret="hush"))


@pytest.mark.parametrize("bad", ["", "00Dx!y z", "00Dx!\n\nevil: header", "00Dxé"])
def test_a_token_that_cannot_stand_in_a_header_is_refused_without_showing_it(bad):
    with pytest.raises(UsageError) as caught:
        AccessToken(bad)
    assert "00Dx" not in str(caught.value)


def test_line_ends_around_a_copied_token_are_taken_off():
    assert AccessToken(" 00Dx!y\n").token(_never).access_token == "00Dx!y"


def _never(call, base_url):
    raise AssertionError("unused")


def test_importing_org_does_not_load_httpx():
    code = "import sys, sfframe.connection.org; print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
