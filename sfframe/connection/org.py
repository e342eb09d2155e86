"""Org: where calls go, who makes them, and what is known of the org so far."""

from __future__ import annotations

import difflib
import hashlib
import html
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from threading import Event, Lock
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from sfframe import facts
from sfframe.connection.login import Credentials
from sfframe.connection.profiles import checked_api_version, checked_instance_url, is_loopback
from sfframe.errors import ApiError, NotFound, PermissionDenied, QueryError, UsageError
from sfframe.protocol import describe as describes
from sfframe.protocol import oauth, query
from sfframe.protocol.call import Call, Reply, Streamed
from sfframe.protocol.error_body import answer, error_for, read_problem
from sfframe.protocol.json_body import JsonObject
from sfframe.protocol.limits import ApiUsage, Limit, limits, read_api_usage
from sfframe.protocol.oauth import Identity, Token
from sfframe.schema import SObject

if TYPE_CHECKING:
    from sfframe.connection.describe_cache import DescribeCache
    from sfframe.connection.transport import Transport
    from sfframe.jobs.pacing import Pacing

T = TypeVar("T")

_ORGANIZATION = "SELECT Name, IsSandbox, OrganizationType, InstanceName, TrialExpirationDate FROM Organization LIMIT 1"


class Org:
    """A connection to one org. Nothing is sent, not even a login, before the first use; safe to share by threads.

    ``instance_url`` is the org's own address, ``api_version`` two digits with ``.0``, ``timezone`` what a datetime
    without zone means in calls on this org (None: such datetimes are refused), ``pacing`` how its jobs are polled
    (None: as usual). ``api_usage`` holds the API calls of the
    whole org as the last answer told them, None before the first. ``on_close`` runs once, after the connections are
    closed. An Org holds a login and therefore cannot be pickled.
    """

    def __init__(
        self,
        instance_url: str,
        credentials: Credentials,
        *,
        api_version: str = facts.API_VERSION,
        timezone: str | None = None,
        pacing: Pacing | None = None,
        name: str = "",
        transport: Transport | None = None,
        on_close: Callable[[], None] | None = None,
        describe_cache: DescribeCache | None = None,
    ) -> None:
        self.instance_url = checked_instance_url(instance_url)
        self.api_version = checked_api_version(api_version)
        self.timezone = timezone
        self.pacing = pacing
        self.name = name
        self.api_usage: ApiUsage | None = None
        self._credentials = credentials
        self._transport = transport or _new_transport(self.instance_url)
        self._on_close = on_close
        self._closed = False
        self._closing = Lock()
        self._asking = Lock()
        self._identity: Identity | None = None
        self._described: dict[str, SObject] = {}
        self._describe_cache = describe_cache
        self._objects: tuple[describes.ObjectSummary, ...] | None = None

    # -- calls ------------------------------------------------------------------------------------------------------

    def send(self, call: Call[T], *, cancel: Event | None = None) -> T:
        """Sends a call and reads its whole answer; logs in before the first, and once more when the session has ended.

        Raises the ``ApiError`` that the org's answer means, ``ConnectionFailed`` when there is none, and ``Cancelled``
        when ``cancel`` is set before the call goes out or while it waits for another try.
        """
        self._check_open()
        url = self._url(call, self.instance_url)
        token = self._log_in(call)
        reply = self._transport.send(call, url, _authorisation(call, token), cancel=cancel)
        self._note(reply.headers)
        renewed = self._renew(token, reply)
        if renewed is not None:
            reply = self._transport.send(call, url, _authorisation(call, renewed), cancel=cancel)
            self._note(reply.headers)
        return answer(call, reply)

    @contextmanager
    def stream(self, call: Call[object], *, cancel: Event | None = None) -> Iterator[Streamed]:
        """Sends a call and gives its answer while it comes; ``call.read`` is not used.

        Errors are those of ``send``. A body that breaks off raises ``ConnectionFailed`` as it is read; the call may
        then be streamed anew.
        """
        self._check_open()
        url = self._url(call, self.instance_url)
        token = self._log_in(call)
        with ExitStack() as stack:
            got = stack.enter_context(self._transport.stream(call, url, _authorisation(call, token), cancel=cancel))
            self._note(got.headers)
            if not call.accepts_status(got.status):
                reply = _whole(got)
                renewed = self._renew(token, reply)
                if renewed is None:
                    raise error_for(call, reply)
                stack.close()
                got = stack.enter_context(
                    self._transport.stream(call, url, _authorisation(call, renewed), cancel=cancel)
                )
                self._note(got.headers)
                if not call.accepts_status(got.status):
                    raise error_for(call, _whole(got))
            yield got

    @property
    def calls(self) -> int:
        """How many requests this object has made, logins and repeated ones included."""
        return self._transport.requests

    # -- what the org says of itself --------------------------------------------------------------------------------

    def describe(self, sobject: str, *, fresh: bool = False) -> SObject:
        """The object of that name, whatever its case; asked once and then kept.

        ``fresh`` asks again. What an earlier process kept on disk is used when the org says that it still holds.
        Raises ``NotFound`` for an unknown name, with the names that may have been meant.
        """
        if not sobject.strip():
            raise UsageError("The name of the object is empty.", remedy='Name one, such as "Account".')
        key = sobject.casefold()
        if fresh or key not in self._described:
            try:
                self._described[key] = self._ask_describe(sobject, fresh=fresh)
            except NotFound as problem:
                self._described.pop(key, None)
                raise self._unknown(sobject, problem) from None
        return self._described[key]

    def describe_json(self, sobject: str) -> JsonObject:
        """The object's describe as the org sends it, asked anew each time. Raises ``NotFound`` as ``describe`` does."""
        try:
            return self.send(describes.describe_json(sobject))
        except NotFound as problem:
            raise self._unknown(sobject, problem) from None

    def objects(self, *, fresh: bool = False) -> tuple[describes.ObjectSummary, ...]:
        """All objects that this user can see; asked once and then kept."""
        if self._objects is None or fresh:
            self._objects = self.send(describes.describe_global())
        return self._objects

    @property
    def identity(self) -> Identity:
        """Who this connection is, and what kind of org it is connected to; asked once and then kept."""
        with self._asking:
            if self._identity is None:
                self._identity = self._ask_identity()
            return self._identity

    def limits(self) -> Mapping[str, Limit]:
        """The org's limits by name, asked anew each time."""
        return self.send(limits())

    # -- life -------------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """True after ``close``."""
        return self._closed

    def close(self) -> None:
        """Closes the connections. Closing twice does nothing; any other use afterwards raises ``UsageError``."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._transport.close()
        if self._on_close is not None:
            self._on_close()

    def __enter__(self) -> Org:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "An Org holds a login and cannot be pickled.",
            remedy="Hand the other process what it needs to connect by itself: a name, or nothing and its environment.",
        )

    def __repr__(self) -> str:
        return f"Org({', '.join(f'{key}={value!r}' for key, value in self._shown())})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(key.replace('_', ' '))}</th><td>{html.escape(str(value))}</td></tr>"
            for key, value in self._shown()
        )
        return f"<table>{rows}</table>"

    def _shown(self) -> list[tuple[str, str]]:
        shown = [("name", self.name), ("instance_url", self.instance_url), ("api_version", self.api_version)]
        if self._identity is not None:
            who = self._identity
            shown += [("username", who.username), ("organization", who.organization_name), ("kind", who.kind)]
        shown += [("timezone", self.timezone or ""), ("state", "closed" if self._closed else "")]
        return [(key, value) for key, value in shown if value]

    # -- inside -----------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError(f"This connection to {self.instance_url} is closed.", remedy="Connect again.")

    def _url(self, call: Call[object], base_url: str) -> str:
        below = {"data": f"/services/data/v{self.api_version}/", "async": f"/services/async/{self.api_version}/"}
        path = call.path if call.path.startswith("/") else below[call.service] + call.path
        return f"{base_url}{path}" + (f"?{urlencode(call.query, quote_via=quote)}" if call.query else "")

    def _log_in(self, call: Call[object]) -> Token | None:
        return self._credentials.token(self._send_bare) if call.authorised else None

    def _renew(self, token: Token | None, reply: Reply) -> Token | None:
        """A new token where the session has ended and another can be had."""
        if token is None or reply.status not in {400, 401} or not read_problem(reply).curable_by_login:
            return None
        return self._credentials.renew(token, self._send_bare)

    def _send_bare(self, call: Call[T], base_url: str) -> T:
        """Sends a call of the login itself, to the host that gives tokens."""
        base = checked_instance_url(base_url) if base_url else self.instance_url
        return answer(call, self._transport.send(call, self._url(call, base), {}))

    def _note(self, headers: Mapping[str, str]) -> None:
        self.api_usage = read_api_usage(headers) or self.api_usage

    def _ask_describe(self, sobject: str, *, fresh: bool) -> SObject:
        """Through the files of earlier processes, where there are any; ``fresh`` takes nothing from them."""
        cache = self._describe_cache
        if cache is None:
            return self.send(describes.describe(sobject))
        owner = self._owner()
        kept = None if fresh else cache.get(owner, self.api_version, sobject)
        described, answered = self.send(describes.describe_if_changed(sobject, kept))
        if answered is not kept:
            cache.put(owner, self.api_version, sobject, answered)
        return described

    def _owner(self) -> str:
        """Org and user as a path of folders, without a call; a bare token stands for both, by its fingerprint."""
        token = self._credentials.token(self._send_bare)
        who = oauth.identity_from_url(token.identity_url)
        if who.organization_id:
            return f"{who.organization_id}/{who.user_id}"
        return f"session/{hashlib.sha256(token.access_token.encode()).hexdigest()[:32]}"

    def _ask_identity(self) -> Identity:
        try:
            who = self.send(oauth.userinfo())
        except (PermissionDenied, NotFound):
            # a token without the identity scopes still names its ids at the login (rest.md 2.1)
            who = oauth.identity_from_url(self._credentials.token(self._send_bare).identity_url)
        try:
            found = self.send(query.records(_ORGANIZATION))
        except (PermissionDenied, QueryError, NotFound):
            return who  # a user without read access to Organization can still load data
        return replace(who, organization_name=str(found[0].get("Name") or ""), kind=_kind(found[0])) if found else who

    def _unknown(self, sobject: str, problem: ApiError) -> NotFound:
        try:
            near = _near(sobject, [one.name for one in self.objects()])
        except ApiError:
            near = []
        return NotFound(
            f"the org has no object {sobject!r}, or this user may not see it",
            where=self.instance_url,
            said=problem.said,
            remedy=f"Did you mean {' or '.join(near)}?" if near else "Org.objects() lists what this user can see.",
            status=problem.status,
            error_code=problem.error_code,
        )


def _new_transport(instance_url: str) -> Transport:
    from sfframe.connection.transport import Transport

    return Transport(direct=is_loopback(urlsplit(instance_url).hostname or ""))


def _authorisation(call: Call[object], token: Token | None) -> dict[str, str]:
    if token is None:
        return {}
    if call.service == "async":  # the only way that Bulk API 1.0 documents (bulk1.md 1.2)
        return {"x-sfdc-session": token.access_token}
    return {"authorization": f"Bearer {token.access_token}"}


def _whole(got: Streamed) -> Reply:
    return Reply(got.status, got.headers, b"".join(got.chunks()))


def _kind(organization: JsonObject) -> str:
    """By the columns that tell the kinds apart: a scratch org is a sandbox that expires (rest.md 2.4)."""
    expires = organization.get("TrialExpirationDate") is not None
    if organization.get("IsSandbox"):
        return "scratch" if expires else "sandbox"
    if organization.get("OrganizationType") == "Developer Edition":
        return "developer"
    return "trial" if expires else "production"


def _near(wanted: str, names: list[str]) -> list[str]:
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(_plain(name), name)
    return [plain[hit] for hit in difflib.get_close_matches(_plain(wanted), plain, n=3, cutoff=0.6)]


def _plain(name: str) -> str:
    return name.casefold().removesuffix("__c").replace("_", "").replace(" ", "")
