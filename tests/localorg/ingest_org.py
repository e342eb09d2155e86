"""An org for the tests of ingest jobs: a store with a few custom fields, the service, and short ways to use both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.faults import Faults
from sfframe.localorg.services.ingest import IngestService
from sfframe.localorg.store.record_ids import record_id
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store

VERSION = "v60.0"

_COLOURS = [{"value": value, "label": value, "active": True} for value in ("red", "green", "blue")]
DEPLOYED: list[dict[str, Any]] = [
    {
        "name": "Widget__c",
        "label": "Widget",
        "labelPlural": "Widgets",
        "fields": [
            {"name": "Ext__c", "label": "Ext", "type": "string", "length": 20, "externalId": True},
            {"name": "Code__c", "label": "Code", "type": "string", "length": 20, "externalId": True, "unique": True},
            {"name": "Serial__c", "label": "Serial", "type": "double", "precision": 18, "scale": 0, "externalId": True},
            {"name": "Text__c", "label": "Text", "type": "string", "length": 10},
            {"name": "Long__c", "label": "Long", "type": "textarea", "length": 131072},
            {"name": "Amount__c", "label": "Amount", "type": "double", "precision": 18, "scale": 2},
            {"name": "Count__c", "label": "Count", "type": "int", "digits": 8},
            {"name": "Flag__c", "label": "Flag", "type": "boolean"},
            {"name": "Day__c", "label": "Day", "type": "date"},
            {"name": "Moment__c", "label": "Moment", "type": "datetime"},
            {"name": "Clock__c", "label": "Clock", "type": "time"},
            {"name": "Data__c", "label": "Data", "type": "base64"},
            {"name": "Number__c", "label": "Number", "type": "string", "length": 30, "autoNumber": True},
            {"name": "Mail__c", "label": "Mail", "type": "email", "length": 80},
            {
                "name": "Colour__c",
                "label": "Colour",
                "type": "picklist",
                "restrictedPicklist": True,
                "picklistValues": _COLOURS,
            },
            {
                "name": "Colours__c",
                "label": "Colours",
                "type": "multipicklist",
                "restrictedPicklist": True,
                "picklistValues": _COLOURS,
            },
            {"name": "Firm__c", "label": "Firm", "type": "reference", "referenceTo": ["Account"]},
            {"name": "Parent__c", "label": "Parent", "type": "reference", "referenceTo": ["Widget__c"]},
        ],
    },
]


class IngestOrg:
    """A store and its ingest service; ``path`` makes it an org in a file."""

    def __init__(self, path: Path | None = None, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.store = Store(path, Catalogue.standard(), self.settings)
        if self.store.catalogue.find("Widget__c") is None:
            self.store.deploy(DEPLOYED)
        self.faults = Faults(self.settings.seed)
        self.ingest = IngestService(self.store, self.settings, faults=self.faults)

    def __enter__(self) -> IngestOrg:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.ingest.close()
        self.store.close()

    def create(self, operation: str, obj: str = "Widget__c", version: str = VERSION, **job: str) -> str:
        """A new open job; answers its id."""
        created = self.ingest.create(version, {"object": obj, "operation": operation, **job})
        return str(created["id"])

    def upload(self, job_id: str, content: str | bytes) -> None:
        with self.ingest.begin_upload(job_id) as upload:
            upload.write(content.encode() if isinstance(content, str) else content)
            upload.commit()

    def close_job(self, job_id: str) -> None:
        self.ingest.change_state(job_id, {"state": "UploadComplete"})

    def start(self, operation: str, content: str | bytes, obj: str = "Widget__c", **job: str) -> str:
        """Create a job, upload to it and close it."""
        job_id = self.create(operation, obj, **job)
        self.upload(job_id, content)
        self.close_job(job_id)
        return job_id

    def load(self, operation: str, content: str | bytes, obj: str = "Widget__c", **job: str) -> str:
        """Run a job to its end."""
        job_id = self.start(operation, content, obj, **job)
        self.ingest.wait(job_id)
        return job_id

    def info(self, job_id: str) -> dict[str, Any]:
        return self.ingest.info(job_id)

    def file(self, job_id: str, kind: str, version: str = VERSION) -> str:
        """A whole result file."""
        return b"".join(self.ingest.results(version, job_id, kind)).decode()

    def successes(self, job_id: str, version: str = VERSION) -> list[str]:
        """Header and rows of the file; the rows sorted, for their order means nothing."""
        return _lines(self.file(job_id, "successfulResults", version))

    def failures(self, job_id: str, version: str = VERSION) -> list[str]:
        return _lines(self.file(job_id, "failedResults", version))

    def errors(self, job_id: str) -> list[str]:
        """The error texts of the failed rows, in the order of the upload."""
        with self.store.cursor() as cursor:
            query = f'SELECT error FROM jobs."rows_{job_id}" WHERE error IS NOT NULL ORDER BY record'
            return [error for (error,) in cursor.execute(query).fetchall()]

    def rows(self, columns: str, obj: str = "Widget__c", where: str = "true") -> list[tuple[Any, ...]]:
        """Stored values, by Id."""
        with self.store.cursor() as cursor:
            found: list[tuple[Any, ...]] = cursor.execute(
                f'SELECT {columns} FROM data."{obj}" WHERE {where} ORDER BY "Id"'
            ).fetchall()
        return found

    def id(self, number: int, obj: str = "Widget__c") -> str:
        """The id of the n-th row of an object."""
        definition = self.store.catalogue.find(obj)
        assert definition is not None
        return record_id(definition.key_prefix or "", self.store.pod, number)


def _lines(text: str) -> list[str]:
    header, *rows = text.removesuffix("\n").split("\n")
    return [header, *sorted(rows)]
