"""connect, and what ``org=`` means. The only client room that may start an embedded org."""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sfframe import facts
from sfframe.connection.login import AccessToken
from sfframe.connection.org import Org
from sfframe.connection.profile_file import named_profile
from sfframe.connection.profiles import Profile, from_environment, is_loopback
from sfframe.errors import UsageError
from sfframe.state import home

if TYPE_CHECKING:
    from sfframe.connection.describe_cache import DescribeCache
    from sfframe.jobs.pacing import Pacing
    from sfframe.localorg import LocalOrg

    OrgLike = Org | LocalOrg | str

_shared: dict[str, Org] = {}
_starting = threading.Lock()


def connect(
    target: OrgLike | None = None,
    *,
    instance_url: str | None = None,
    access_token: str | None = None,
    client_id: str | None = None,
    client_secret: str | None = None,
    api_version: str | None = None,
    timezone: str | None = None,
    pacing: Pacing | None = None,
    fresh: bool = False,
) -> Org:
    """Connect to an org; nothing is sent before the first use.

    ``target`` is ``"local"`` (an embedded org in memory, one per process), ``"local:PATH.duckdb"`` (an embedded org in
    a file), the name of a profile, a ``LocalOrg``, an ``Org`` (given back as it is), or nothing: then ``instance_url``
    decides, with ``access_token`` (a session that another tool opened) or with ``client_id`` and ``client_secret``
    (OAuth client credentials). Without any of them the environment is read: SFFRAME_ORG, or SF_INSTANCE_URL with
    SF_ACCESS_TOKEN or with SF_CLIENT_ID and SF_CLIENT_SECRET (SALESFORCE_* is read too).

    A profile is a table of the file ``profiles.toml`` in the user's configuration directory (SFFRAME_PROFILES names
    another): ``instance_url`` with ``client_id`` and ``client_secret`` (or ``client_secret_env``, the variable that has
    it), ``timezone``, ``api_version``. ``instance_url`` may be a bare host. ``timezone`` (such as "Europe/Berlin") says
    what a datetime without zone means in every call on this org, ``pacing`` how its jobs are polled. A name gives the
    same Org each time in one process (one login); ``fresh=True`` gives a new one, and so does any other option.

    Raises UsageError for a target that is no org and AuthenticationError, on first use, when the org refuses the login.

    >>> import sfframe as sf
    >>> with sf.connect("local", fresh=True) as org:
    ...     org.identity.kind
    'sandbox'
    """
    if isinstance(target, Org):
        return target
    login = (access_token, client_id, client_secret)
    if instance_url is not None:
        if target is not None:
            raise UsageError("Both a target and instance_url were given", remedy="Give one of them: each names an org.")
        version = api_version or facts.API_VERSION
        given = Profile(instance_url, access_token or "", client_id or "", client_secret or "", version, timezone)
        return _paced(_remote(given), pacing)
    if any(login):
        raise UsageError(
            "A token or client credentials were given, but not for which org",
            remedy='Add instance_url="https://yourdomain.my.salesforce.com".',
        )
    if target is not None and not isinstance(target, str):
        return _paced(_of_local_org(target, api_version=api_version, timezone=timezone), pacing)
    name = os.environ.get("SFFRAME_ORG", "") if target is None else target
    if fresh or api_version or timezone or pacing:
        return _paced(_by_name(name, api_version=api_version, timezone=timezone), pacing)
    with _starting:
        known = _shared.get(name)
        if known is None or known.closed:
            known = _shared[name] = _by_name(name, api_version=None, timezone=None)
        return known


def _paced(org: Org, pacing: Pacing | None) -> Org:
    org.pacing = pacing
    return org


def local_org_type() -> type[LocalOrg]:
    """The class LocalOrg, imported on first use; says how to get it when its packages are not installed."""
    try:
        from sfframe.localorg import LocalOrg
    except ModuleNotFoundError as missing:
        raise UsageError(
            f"The embedded org needs the package {missing.name!r}, which is not installed",
            remedy='Install it with: pip install "sfframe[local]"',
        ) from missing
    return LocalOrg


def open_local(
    path: Path | None = None,
    *,
    port: int = 0,
    deploy: Path | None = None,
    records: Path | None = None,
    faults: Path | None = None,
) -> LocalOrg:
    """An embedded org, started; with the objects that the JSON file ``deploy`` describes added.

    ``records`` is a folder of Parquet files called like objects, whose rows are taken over with their ids; ``faults``
    a JSON file with a fault plan. Raises UsageError for an org file that is in use or is none, a port that is taken,
    and a description or plan that is wrong.
    """
    made = local_org_type()
    from sfframe.localorg import OrgFileUnusable

    try:
        local = made(path, port=port)
    except OrgFileUnusable as problem:
        raise UsageError(
            str(problem), where=str(path), remedy="Name another file, or end the process that has it."
        ) from None
    except OSError as problem:
        raise UsageError(f"The embedded org cannot start: {problem}", remedy="Name another port, or 0.") from problem
    if deploy is not None:
        try:
            local.deploy(deploy)
        except (OSError, ValueError) as problem:
            local.close()
            raise UsageError(
                str(problem), where=str(deploy), remedy="Correct the file; nothing of it was deployed."
            ) from None
    if records is not None:
        _mirror(local, records)
    if faults is not None:
        try:
            local.faults.load(faults)
        except (OSError, ValueError) as problem:
            local.close()
            raise UsageError(str(problem), where=str(faults), remedy="Correct the file.") from None
    return local


def _mirror(local: LocalOrg, folder: Path) -> None:
    import polars as pl

    files = sorted(folder.glob("*.parquet"))
    try:
        if not files:
            raise ValueError("There are no Parquet files in the folder.")
        for file in files:
            local.mirror(file.stem, pl.read_parquet(file))
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError) as problem:
        local.close()
        remedy = "Give the folder that sfframe org snapshot wrote, and --deploy the file beside it."
        raise UsageError(str(problem), where=str(folder), remedy=remedy) from None


def _by_name(name: str, *, api_version: str | None, timezone: str | None) -> Org:
    """The org that a name stands for; the empty name stands for the environment's SF_* variables."""
    kind, _, path = name.partition(":")
    if kind == "local":
        started = open_local(Path(path).expanduser() if path else None)
        return _of_local_org(started, api_version=api_version, timezone=timezone, owned=True)
    found = named_profile(name, os.environ) if name else from_environment(os.environ)
    return _remote(found, api_version=api_version, timezone=timezone)


def _remote(profile: Profile, *, api_version: str | None = None, timezone: str | None = None) -> Org:
    return Org(
        profile.instance_url,
        profile.credentials(),
        api_version=api_version or profile.api_version,
        timezone=timezone or profile.timezone,
        name=profile.name,
        describe_cache=_describe_cache(profile.instance_url),
    )


def _describe_cache(instance_url: str) -> DescribeCache | None:
    """None for an org on this machine: it is as near as the disk, and the next one may have its address."""
    if is_loopback(urlsplit(instance_url).hostname or ""):
        return None
    from sfframe.connection.describe_cache import DescribeCache

    return DescribeCache(home() / "describes")


def _of_local_org(local: LocalOrg, *, api_version: str | None, timezone: str | None, owned: bool = False) -> Org:
    """A connection to an embedded org. One that was started for this connection (``owned``) ends with it."""
    org = Org(
        local.url,
        AccessToken(local.credentials.access_token),
        api_version=api_version or facts.API_VERSION,
        timezone=timezone,
        name="local",
        on_close=local.close if owned else None,
    )
    if owned:
        atexit.register(org.close)
    return org
