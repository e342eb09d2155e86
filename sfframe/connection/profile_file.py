"""Named profiles: the orgs of one person, in a TOML file that only they can read."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sfframe import facts
from sfframe.connection.profiles import EXAMPLE, Profile
from sfframe.errors import UsageError

SECRETS: Final = ("client_secret", "access_token")
# Each secret can also be named instead of written down: the variable of the environment that has it.
_NAMED: Final = {f"{name}_env": name for name in SECRETS}
_KNOWN: Final = ("instance_url", "client_id", *SECRETS, *_NAMED, "api_version", "timezone")


def profile_path(environ: Mapping[str, str]) -> Path:
    """The file of the profiles: SFFRAME_PROFILES, else ``profiles.toml`` in the user's configuration directory."""
    import platformdirs

    named = environ.get("SFFRAME_PROFILES", "").strip()
    return Path(named) if named else platformdirs.user_config_path("sfframe", appauthor=False) / "profiles.toml"


def named_profile(name: str, environ: Mapping[str, str]) -> Profile:
    """The profile called ``name``: one table of the file, with ``instance_url`` and a login.

    A login is ``access_token``, or ``client_id`` with ``client_secret``; ``client_secret_env`` and ``access_token_env``
    name a variable of the environment instead. ``api_version`` and ``timezone`` may be there too. Raises UsageError
    when there is no such profile, for a setting that is not known, and for a file with secrets that others can read.
    """
    path = profile_path(environ)
    tables = _tables(path) if path.is_file() else {}
    found = tables.get(name)
    if not isinstance(found, dict):
        near = difflib.get_close_matches(name, tables, n=3)
        known = f"Did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(
            f"There is no org called {name!r}",
            where=str(path),
            remedy=f"{known}A profile is a table [{name}] in that file with instance_url, client_id and client_secret. "
            'Else "local", "local:PATH.duckdb", or connect(instance_url=..., client_id=..., client_secret=...).',
        )
    settings = {key: str(value) for key, value in found.items()}
    unknown = next((key for key in settings if key not in _KNOWN), None)
    if unknown is not None:
        raise UsageError(
            f"The profile {name!r} has a setting {unknown!r}, which is not known",
            where=str(path),
            remedy=f"Known are {', '.join(_KNOWN)}.",
        )
    if any(key in settings for key in SECRETS):
        _check_private(path)
    for key, secret in _NAMED.items():
        if key in settings:
            settings[secret] = _from_environment(settings[key], name, environ)
    if not settings.get("instance_url"):
        raise UsageError(f"The profile {name!r} names no org", where=str(path), remedy=f'Add instance_url="{EXAMPLE}".')
    return Profile(
        settings["instance_url"],
        access_token=settings.get("access_token", ""),
        client_id=settings.get("client_id", ""),
        client_secret=settings.get("client_secret", ""),
        api_version=settings.get("api_version", facts.API_VERSION),
        timezone=settings.get("timezone"),
        name=name,
    )


def _tables(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        reason = problem if isinstance(problem, tomllib.TOMLDecodeError) else type(problem).__name__
        raise UsageError(
            f"The profiles cannot be read: {reason}", where=str(path), remedy="Correct the file."
        ) from None


def _check_private(path: Path) -> None:
    """Raise where others than its owner may read the file (architecture.md 4.12). Windows has no such mode."""
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise UsageError(
            "The file holds a secret, and others on this machine can read it",
            where=str(path),
            remedy=f"chmod 600 {path}, or name the secret by client_secret_env instead of writing it down.",
        )


def _from_environment(variable: str, name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(variable, "").strip()
    if not value:
        raise UsageError(
            f"The profile {name!r} takes a secret from {variable}, which is not set",
            remedy=f"Set {variable} in the environment.",
        )
    return value
