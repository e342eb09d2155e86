"""The command ``sfframe``: one module per command, each imported when it is called."""

from __future__ import annotations

import sys

from cyclopts import App

from sfframe import __version__
from sfframe.errors import SfframeError

app = App(
    name="sfframe",
    help="Dataframes in and out of Salesforce.",
    version=__version__,
    suppress_keyboard_interrupt=False,  # it carries how the work is gone on with
)
app.command("sfframe.cli.demo:demo", help="Load sample data into an embedded org and show what became of each row.")
app.command("sfframe.cli.load:load", help="Load a file into an object; every row gets an answer.")
app.command("sfframe.cli.query:query", help="Run a SOQL query and write its rows.")
app.command("sfframe.cli.changes:changes", help="Write what is new, changed or deleted since the last call.")
app.command("sfframe.cli.resume:resume", help="Go on with a load that broke off.")
app.command("sfframe.cli.retry:retry", help="Send rows of a load again that may succeed now.")
app.command("sfframe.cli.history:history", help="List the loads of this user.")
org = App(name="org", help="The embedded org.")
org.command("sfframe.cli.org:serve", help="Serve an embedded org on this machine until interrupted.")
org.command("sfframe.cli.snapshot:snapshot", help="Save the describes of an org, and a sample of its rows.")
app.command(org)


def main() -> None:
    """Run the command line; an error that sfframe explains is shown as text, without a traceback.

    Exit codes: 0 all went well, 1 some rows did not succeed, 2 the call itself was wrong or failed, 130 interrupted.
    """
    try:
        sys.exit(app())
    except SfframeError as problem:
        print(f"sfframe: {problem}", *_notes(problem), sep="\n", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        print("sfframe: interrupted", *_notes(interrupt), sep="\n", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


def _notes(problem: BaseException) -> list[str]:
    """What was added to an error on its way: what became of the work, and how it is gone on with."""
    return list(getattr(problem, "__notes__", ()))
