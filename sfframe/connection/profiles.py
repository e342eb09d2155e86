"""Which org, and with which login: from arguments or from the environment, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sfframe import facts
from sfframe.connection.login import AccessToken, ClientCredentials, Credentials
from sfframe.errors import UsageError

# Our names first, then those of other tools; the first that is set counts.
INSTANCE_URL = ("SF_INSTANCE_URL", "SF_ORG_INSTANCE_URL", "SALESFORCE_INSTANCE_URL", "SF_DOMAIN", "SALESFORCE_DOMAIN")
ACCESS_TOKEN = ("SF_ACCESS_TOKEN", "SALESFORCE_ACCESS_TOKEN")
CLIENT_ID = ("SF_CLIENT_ID", "SALESFORCE_CLIENT_ID")
CLIENT_SECRET = ("SF_CLIENT_SECRET", "SALESFORCE_CLIENT_SECRET")
API_VERSION = ("SF_API_VERSION", "SF_ORG_API_VERSION", "SALESFORCE_API_VERSION")
TIMEZONE = ("SF_TIMEZONE", "SALESFORCE_TIMEZONE")

EXAMPLE = "https://yourdomain.my.salesforce.com"

_VERSION = re.compile(r"v?(\d{2,3})(?:\.0)?")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_LOGIN_PAGES = frozenset({"login.salesforce.com", "test.salesforce.com", "welcome.salesforce.com"})
# Hosts that show pages of an org, and the host of the same org that has the API.
_PAGES = (
    (".lightning.force.com", ".my.salesforce.com"),
    (".my.salesforce-setup.com", ".my.salesforce.com"),
    (".my.site.com", ""),
    (".vf.force.com", ""),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """One org and one login. ``name`` is only shown; secrets are not."""

    instance_url: str
    access_token: str = field(default="", repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    api_version: str = facts.API_VERSION
    timezone: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "instance_url", checked_instance_url(self.instance_url))
        object.__setattr__(self, "api_version", checked_api_version(self.api_version))
        if not self.access_token and bool(self.client_id) != bool(self.client_secret):
            raise UsageError(
                "Of the client id and the client secret only one is given.",
                where=self.instance_url,
                remedy=f"Give both, or an access token ({_either(ACCESS_TOKEN)}).",
            )
        if not self.access_token and not self.client_id:
            raise UsageError(
                "There is no login for this org.",
                where=self.instance_url,
                remedy="Give an access token, or the client id and secret of an app with the client credentials flow: "
                f"in the environment {ACCESS_TOKEN[0]}, or {CLIENT_ID[0]} and {CLIENT_SECRET[0]}.",
            )

    def credentials(self) -> Credentials:
        """How to log in: an access token that is given goes before client credentials."""
        if self.access_token:
            return AccessToken(self.access_token)
        return ClientCredentials(self.client_id, self.client_secret)


def from_environment(environ: Mapping[str, str]) -> Profile:
    """The profile that the environment describes; an empty variable counts as one that is not set.

    Raises UsageError that names the variables when something is missing.
    """
    instance_url = _first(environ, INSTANCE_URL)
    if not instance_url:
        raise UsageError(
            "The environment names no org.",
            remedy=f"Set {INSTANCE_URL[0]} (such as {EXAMPLE}), and {ACCESS_TOKEN[0]} or {CLIENT_ID[0]} with "
            f"{CLIENT_SECRET[0]}. Without an account, SFFRAME_ORG=local starts an embedded org.",
        )
    return Profile(
        instance_url,
        access_token=_first(environ, ACCESS_TOKEN),
        client_id=_first(environ, CLIENT_ID),
        client_secret=_first(environ, CLIENT_SECRET),
        api_version=_first(environ, API_VERSION) or facts.API_VERSION,
        timezone=_first(environ, TIMEZONE) or None,
        name=_first(environ, ("SFFRAME_ORG",)),
    )


def checked_api_version(version: str) -> str:
    """``66``, ``66.0`` or ``v66.0`` as ``66.0``."""
    found = _VERSION.fullmatch(version.strip().lower())
    if found is None or int(found[1]) < facts.OLDEST_API_VERSION:
        raise UsageError(
            f"{version!r} is not an API version that Salesforce serves.",
            remedy=f'Use one from "{facts.OLDEST_API_VERSION}.0" on, such as "{facts.API_VERSION}".',
        )
    return f"{int(found[1])}.0"


def checked_instance_url(given: str) -> str:
    """The root of the host that has the org's API, without a slash at the end.

    A bare host gets https (http where it is this machine), a bare domain name such as ``acme`` or ``acme.my`` gets the
    rest of its host, and the address of one of the org's pages becomes that of the org. Raises UsageError for http to
    another machine, for login pages, and for what is no host.
    """
    text = given.strip()
    scheme, host, port, path = _split(text)
    for page, api in _PAGES:
        if host.endswith(page):
            if not api:
                raise _refused(text, "is a site of an org, not the org itself")
            host, path = host.removesuffix(page) + api, ""
    if host in _LOGIN_PAGES:
        raise _refused(text, "is the login page of all orgs, not an org")
    if host.endswith(".salesforce.com"):
        path = ""  # a page's address that was copied; the org's API is at the host's root
    if path:
        raise _refused(text, "has a path, which would be lost")
    if scheme == "http" and not is_loopback(host):
        raise _refused(text, "would send the login in the clear")
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + (f":{port}" if port else "")


def _split(text: str) -> tuple[str, str, int | None, str]:
    """Scheme, host in lower case, port and path; without a scheme, the one that fits the host."""
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host, port = (parts.hostname or "").lower().rstrip("."), parts.port
    except ValueError:
        raise _refused(text, "is not an address") from None
    if parts.username is not None or parts.password is not None:
        raise _refused("", "The instance URL holds a user name or password, which does not belong there")
    if not host or (_HOST.fullmatch(host) is None and ":" not in host):
        raise _refused(text, "names no host") if text else _refused("", "The instance URL is empty")
    scheme = parts.scheme.lower() or ("http" if is_loopback(host) else "https")
    if scheme not in {"http", "https"}:
        raise _refused(text, "is not a web address")
    if "." not in host and not is_loopback(host) and ":" not in host:
        host = f"{host}.my.salesforce.com" if host not in {"login", "test"} else f"{host}.salesforce.com"
    elif host.endswith(".my"):  # the form that SF_DOMAIN has for simple-salesforce
        host = f"{host}.salesforce.com"
    return scheme, host, port, parts.path.strip("/")


def is_loopback(host: str) -> bool:
    """True for the names and addresses of this machine."""
    return (
        host in {"localhost", "::1"} or host.endswith(".localhost") or re.fullmatch(r"127(\.\d+){3}", host) is not None
    )


def _refused(text: str, why: str) -> UsageError:
    shown = text.partition("?")[0].partition("#")[0]  # what follows may hold a session
    said = f"The instance URL {shown!r} {why}." if text else f"{why}."
    return UsageError(said, remedy=f"Use the org's own address, such as {EXAMPLE} (Setup, My Domain).")


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := environ.get(name, "").strip())), "")


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(names)
