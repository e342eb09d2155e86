"""Identity: what the org says of its one user (rest.md 2.4, 3)."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sfframe.localorg.services.versions import NEWEST
from sfframe.localorg.store.store import Store, quoted

_USER_FIELDS = (
    *("Username", "CommunityNickname", "Name", "Email", "FirstName", "LastName", "TimeZoneSidKey", "IsActive"),
    *("LanguageLocaleKey", "LocaleSidKey", "LastModifiedDate", "Street", "City", "State", "PostalCode", "Country"),
    *("MobilePhone", "ProfileId", "UserRoleId", "UserType"),
)

# Where the org's resources are; {version} stands there as it is unless the client names one.
_REST = {
    "rest": "",
    "sobjects": "sobjects/",
    "search": "search/",
    "query": "query/",
    "recent": "recent/",
    "tooling_rest": "tooling/",
    "feeds": "chatter/feeds",
    "groups": "chatter/groups",
    "users": "chatter/users",
    "feed_items": "chatter/feed-items",
    "feed_elements": "chatter/feed-elements",
}
_SOAP = {"enterprise": "c", "metadata": "m", "partner": "u", "tooling_soap": "T"}
_URL_ORDER = (
    *("enterprise", "metadata", "partner", "rest", "sobjects", "search", "query", "recent", "tooling_soap"),
    *("tooling_rest", "profile", "feeds", "groups", "users", "feed_items", "feed_elements", "custom_domain"),
)


def integration_user(store: Store) -> dict[str, Any]:
    """The row of the user to whom all sessions belong."""
    with store.cursor() as cursor:
        columns = ", ".join(quoted(name) for name in _USER_FIELDS)
        rows = cursor.execute(f'SELECT {columns} FROM data."User" WHERE "Id" = $1', [store.user_id]).fetchall()
    return dict(zip(_USER_FIELDS, rows[0], strict=True))


class Identity:
    """Words the user's row for the resources that ask who is there. ``host`` is the org's URL as the client sees it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def url(self, host: str) -> str:
        """The URL that is the user's identity."""
        return f"{host}/id/{self._store.org_id}/{self._store.user_id}"

    def shown(self, host: str, version: str | None = None) -> dict[str, Any]:
        """What ``/id/{org}/{user}`` answers. ``version``, such as ``60.0`` or ``latest``, is put into the URLs."""
        user = integration_user(self._store)
        return {
            "id": self.url(host),
            "asserted_user": True,
            "user_id": self._store.user_id,
            "organization_id": self._store.org_id,
            "username": user["Username"],
            "nick_name": user["CommunityNickname"],
            "display_name": user["Name"],
            "email": user["Email"],
            "email_verified": True,
            "first_name": user["FirstName"],
            "last_name": user["LastName"],
            "timezone": user["TimeZoneSidKey"],
            "photos": {"picture": f"{host}/profilephoto/005/F", "thumbnail": f"{host}/profilephoto/005/T"},
            "addr_street": user["Street"],
            "addr_city": user["City"],
            "addr_state": user["State"],
            "addr_country": user["Country"],
            "addr_zip": user["PostalCode"],
            "mobile_phone": user["MobilePhone"],
            "mobile_phone_verified": False,
            "is_lightning_login_user": False,
            "status": {"created_date": None, "body": None},
            "urls": self._urls(host, version),
            "active": user["IsActive"],
            "user_type": user["UserType"].upper(),
            "language": user["LanguageLocaleKey"],
            "locale": user["LocaleSidKey"],
            "utcOffset": _offset(user["TimeZoneSidKey"]),
            "last_modified_date": f"{user['LastModifiedDate']:%Y-%m-%dT%H:%M:%S}Z",
            "is_app_installed": True,
        }

    def userinfo(self, host: str) -> dict[str, Any]:
        """What ``/services/oauth2/userinfo`` answers: the same facts under OpenID's names."""
        known = self.shown(host)
        return {
            "sub": known["id"],
            "user_id": known["user_id"],
            "organization_id": known["organization_id"],
            "preferred_username": known["username"],
            "nickname": known["nick_name"],
            "name": known["display_name"],
            "email": known["email"],
            "email_verified": known["email_verified"],
            "given_name": known["first_name"],
            "family_name": known["last_name"],
            "zoneinfo": known["timezone"],
            "photos": known["photos"],
            "profile": f"{host}/{known['user_id']}",
            "picture": known["photos"]["picture"],
            "address": _address(known),
            "urls": known["urls"],
            "active": known["active"],
            "user_type": known["user_type"],
            "language": known["language"],
            "locale": known["locale"],
            "utcOffset": known["utcOffset"],
            "updated_at": known["last_modified_date"],
        }

    def soap_info(self) -> dict[str, str | int | bool | None]:
        """The ``userInfo`` of a SOAP login, in the order of the WSDL (rest.md 3); None is a nil."""
        user = integration_user(self._store)
        with self._store.cursor() as cursor:
            name = cursor.execute('SELECT "Name" FROM data."Organization"').fetchall()[0][0]
        return {
            "accessibilityMode": False,
            "chatterExternal": False,
            "currencySymbol": "$",
            "orgAttachmentFileSizeLimit": 5_242_880,
            "orgDefaultCurrencyIsoCode": "USD",
            "orgDefaultCurrencyLocale": "en_US",
            "orgDisallowHtmlAttachments": False,
            "orgHasPersonAccounts": False,
            "organizationId": self._store.org_id,
            "organizationMultiCurrency": False,
            "organizationName": name,
            "profileId": user["ProfileId"],
            "roleId": user["UserRoleId"],
            "sessionSecondsValid": int(self._store.settings.session_seconds),
            "userDefaultCurrencyIsoCode": None,
            "userEmail": user["Email"],
            "userFullName": user["Name"],
            "userId": self._store.user_id,
            "userLanguage": user["LanguageLocaleKey"],
            "userLocale": user["LocaleSidKey"],
            "userName": user["Username"],
            "userTimeZone": user["TimeZoneSidKey"],
            "userType": user["UserType"],
            "userUiSkin": "Theme3",
        }

    def _urls(self, host: str, version: str | None) -> dict[str, str]:
        org = self._store.org_id[:15]
        urls = {name: f"{host}/services/data/v{{version}}/{path}" for name, path in _REST.items()}
        urls |= {name: f"{host}/services/Soap/{letter}/{{version}}/{org}" for name, letter in _SOAP.items()}
        urls |= {"profile": f"{host}/{self._store.user_id}", "custom_domain": host}
        number = f"{NEWEST}.0" if version == "latest" else version
        return {name: urls[name].replace("{version}", number or "{version}") for name in _URL_ORDER}


def _address(known: dict[str, Any]) -> dict[str, str]:
    """OpenID's address holds only what is known."""
    names = {
        "street_address": "addr_street",
        "locality": "addr_city",
        "region": "addr_state",
        "postal_code": "addr_zip",
        "country": "addr_country",
    }
    return {name: known[key] for name, key in names.items() if known[key] is not None}


def _offset(timezone: str) -> int:
    """The zone's distance from UTC in milliseconds, without summer time."""
    try:
        now = dt.datetime.now(ZoneInfo(timezone))
    except (ZoneInfoNotFoundError, ValueError):  # Windows has no zones of its own
        return 0
    distance = (now.utcoffset() or dt.timedelta()) - (now.dst() or dt.timedelta())
    return distance // dt.timedelta(milliseconds=1)
