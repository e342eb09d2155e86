"""Where this user's runs and describes are kept on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder of ledger, spool and describes: SFFRAME_HOME, else the user's state directory.

    Only its owner may look in.
    """
    import platformdirs

    named = os.environ.get("SFFRAME_HOME")
    folder = Path(named) if named else platformdirs.user_state_path("sfframe", appauthor=False)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
