"""An org with widgets, and a client of Bulk API 1.0 that writes its requests by hand."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx

from sfframe.localorg import LocalOrg, Settings
from sfframe.localorg.services.bulk1 import Bulk1Service
from sfframe.localorg.services.bulk1_jobs import Batch
from tests.localorg.ingest_org import DEPLOYED

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
VERSION = "62.0"
NOON = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)  # far from the end of a day, for what is counted by day
TYPES = {
    "CSV": "text/csv",
    "JSON": "application/json",
    "XML": "application/xml",
    "ZIP_CSV": "zip/csv",
    "ZIP_JSON": "zip/json",
    "ZIP_XML": "zip/xml",
}


class Bulk1Org:
    """The org, its service and ``http``, which carries the session; ids are those of the last job and batch."""

    def __init__(self, org: LocalOrg, http: httpx.Client) -> None:
        self.org = org
        self.http = http
        self.job_id = self.batch_id = ""
        self._content_type = "CSV"

    @property
    def service(self) -> Bulk1Service:
        return self.org._services.bulk1

    def post(
        self, path: str, body: str | bytes, content_type: str = "application/xml", **headers: str
    ) -> httpx.Response:
        given = {"Content-Type": content_type} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(path, content=body, headers=given)

    def create(self, operation: str, obj: str = "Widget__c", content_type: str = "CSV", **more: Any) -> httpx.Response:
        """A job made by an XML document; headers are the arguments that begin with Sforce."""
        headers = {name: more.pop(name) for name in list(more) if name.startswith("Sforce")}
        members = {"operation": operation, "object": obj, **more, "contentType": content_type}
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in members.items())
        answer = self.post("job", f'<jobInfo xmlns="{NAMESPACE}">{inner}</jobInfo>', **headers)
        if answer.status_code == 201:
            self.job_id, self._content_type = members_of(answer)["id"] or "", content_type
        return answer

    def add(self, content: str | bytes, content_type: str | None = None) -> httpx.Response:
        """A batch of the last job."""
        answer = self.post(f"job/{self.job_id}/batch", content, content_type or TYPES[self._content_type])
        if answer.status_code == 201:
            self.batch_id = answer.headers["Location"].rpartition("/")[2]
        return answer

    def run(self, content: str | bytes, content_type: str | None = None) -> Batch:
        """Add a batch and wait for its end."""
        self.add(content, content_type)
        return self.wait()[-1]

    def load(self, operation: str, content: str, obj: str = "Widget__c", content_type: str = "CSV", **more: Any) -> str:
        """Run a job of one batch, close it, and answer its results."""
        self.create(operation, obj, content_type, **more)
        batch = self.run(content)
        assert batch.state == "Completed", batch.message
        assert self.close_job().status_code == 200
        return self.result().text

    def close_job(self, state: str = "Closed") -> httpx.Response:
        return self.post(f"job/{self.job_id}", f'<jobInfo xmlns="{NAMESPACE}"><state>{state}</state></jobInfo>')

    def wait(self) -> list[Batch]:
        return self.service.wait(self.job_id)

    def result(self) -> httpx.Response:
        return self.http.get(f"job/{self.job_id}/batch/{self.batch_id}/result")

    def query(
        self, soql: str, obj: str = "Widget__c", content_type: str = "CSV", operation: str = "query"
    ) -> httpx.Response:
        """Run a query job and answer its only result file."""
        self.create(operation, obj, content_type)
        batch = self.run(soql)
        assert batch.state == "Completed", batch.message
        return self.http.get(f"job/{self.job_id}/batch/{self.batch_id}/result/{batch.result_ids[0]}")

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """Stored widgets in the order of their ids."""
        return self.org.table("Widget__c").select(columns).rows()


def xml_of(text: str) -> ET.Element:
    """The root of an XML document."""
    return ET.fromstring(text)  # noqa: S314 - written by the org under test


def members_of(answer: httpx.Response) -> dict[str, str | None]:
    """The children of an XML document."""
    return {one.tag.removeprefix(f"{{{NAMESPACE}}}"): one.text for one in xml_of(answer.text)}


def error_of(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    """Status, code and message of an error document, whatever its format."""
    if answer.headers["Content-Type"] == "application/json":
        document = json.loads(answer.content)
    else:
        document = members_of(answer)
    return answer.status_code, document["exceptionCode"], document["exceptionMessage"]


@contextmanager
def bulk1_org(path: Path | None = None, **settings: Any) -> Iterator[Bulk1Org]:
    """A new org, or the org of a file."""
    with LocalOrg(path, settings=Settings(**settings)) as org:
        org.deploy(DEPLOYED)
        headers = {"X-SFDC-Session": org.credentials.access_token}
        with httpx.Client(base_url=f"{org.url}/services/async/{VERSION}", headers=headers, timeout=60) as http:
            yield Bulk1Org(org, http)
