"""Named profiles: one table of a file that only its owner may read."""

from __future__ import annotations

from pathlib import Path

import pytest

import sfframe as sf
from sfframe.connection.profile_file import named_profile, profile_path
from sfframe.connection.profiles import Profile

TEXT = """
[prod]
instance_url = "acme"
client_id = "3MVG9"
client_secret = "hush"
timezone = "Europe/Berlin"
api_version = "62.0"

[uat]
instance_url = "https://acme--uat.sandbox.my.salesforce.com"
access_token_env = "UAT_TOKEN"

[odd]
instance_url = "acme"
password = "x"
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "profiles.toml"
    path.write_text(TEXT)
    path.chmod(0o600)
    return {"SFFRAME_PROFILES": str(path), "UAT_TOKEN": "00D!token"}


def test_a_profile_names_org_login_and_zone(environ: dict[str, str]) -> None:
    assert named_profile("prod", environ) == Profile(
        "https://acme.my.salesforce.com",
        client_id="3MVG9",
        client_secret="hush",
        api_version="62.0",
        timezone="Europe/Berlin",
        name="prod",
    )
    assert "hush" not in repr(named_profile("prod", environ))


def test_a_secret_can_stay_in_the_environment(environ: dict[str, str]) -> None:
    assert named_profile("uat", environ).access_token == "00D!token"
    with pytest.raises(sf.UsageError, match="takes a secret from UAT_TOKEN, which is not set"):
        named_profile("uat", environ | {"UAT_TOKEN": " "})


def test_what_is_wrong_is_said(environ: dict[str, str]) -> None:
    with pytest.raises(sf.UsageError, match="There is no org called 'prd'") as near:
        named_profile("prd", environ)
    assert "Did you mean prod?" in near.value.remedy
    with pytest.raises(sf.UsageError, match="a setting 'password', which is not known"):
        named_profile("odd", environ)
    profile_path(environ).write_text("[prod")
    with pytest.raises(sf.UsageError, match="The profiles cannot be read"):
        named_profile("prod", environ)


def test_a_file_with_secrets_that_others_can_read_is_refused(environ: dict[str, str]) -> None:
    profile_path(environ).chmod(0o644)
    with pytest.raises(sf.UsageError, match="others on this machine can read it"):
        named_profile("prod", environ)
    assert named_profile("uat", environ).name == "uat"


def test_a_name_connects_once_and_with_its_own_pacing_anew(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with sf.connect("uat") as org:
        assert sf.connect("uat") is org
        assert (org.name, org.instance_url) == ("uat", "https://acme--uat.sandbox.my.salesforce.com")
        with sf.connect("uat", pacing=sf.Pacing(first=9.0)) as other:
            assert (other is org, other.pacing) == (False, sf.Pacing(first=9.0))
