"""What is particular to recordings of the Bulk API 1.0: XML documents, CSV results, and jobs that take their time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sfframe.localorg.services.services import Services

if TYPE_CHECKING:
    from tests.foreign.recordings import Interaction

PATH = "/services/async/"
_JOB = re.compile(r"/job/(750\w+)")
_ELEMENT_ID = re.compile(r"<(?:id|jobId)>(\w+)</")
_RESULT = re.compile(r'^"(\w{18})?","(true|false)","(true|false)",', re.MULTILINE)
_FILE_ID = re.compile(r'"(752\w+)"')


def content_type(body: str) -> str:
    """Of a request that is recorded without it."""
    return "application/xml" if body.lstrip().startswith("<") else "text/csv"


def is_query(one: Interaction) -> bool:
    """Whether the request is a batch with a query."""
    return PATH in one.path and (one.body or "").startswith("SELECT")


def made_ids(answer: str) -> Iterator[str]:
    """The rows that a file of results tells of as created."""
    yield from (found[1] for found in _RESULT.finditer(answer) if found[1] and found[3] == "true")


def ids_of(answer: str) -> list[str]:
    """All ids in an answer, in their order."""
    if answer.startswith('"Id","Success"'):
        return [found[1] or "" for found in _RESULT.finditer(answer)]
    return _ELEMENT_ID.findall(answer) if answer.startswith("<") else _FILE_ID.findall(answer)


def await_batches(services: Services, path: str) -> None:
    """Wait until all batches of the job in the path have ended."""
    job = _JOB.search(path)
    if job is not None:
        services.bulk1.wait(job[1])


def differences(one: Interaction, answer: str) -> list[str]:
    """Where documents differ in layout, or results in anything but their ids; none for JSON, which others compare."""
    if one.answer.startswith("<"):
        # A document without its values: the layout to the blank.
        ours, theirs = (re.sub(r">[^<\n]+<", "><", text).rstrip("\n") for text in (answer, one.answer))
    elif one.answer.startswith('"Id"'):
        ours, theirs = (_RESULT.sub(r'"id","\2","\3",', text) for text in (answer, one.answer))
    else:
        return []
    return [] if ours == theirs else [f"{ours}, recorded {theirs}"]
