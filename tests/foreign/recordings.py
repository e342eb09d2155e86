"""Recorded conversations with real orgs, played again against an embedded org that is set up as theirs was.

A cassette is what one recording holds, in its order. Before a request is sent, the rows that its recorded answer shows
and that the cassette did not make itself are put into the org under their own ids. Ids that the org gives to new rows
take the place of the recorded ones from then on.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import duckdb
import httpx

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.server import make_app
from sfframe.localorg.services.services import Services
from sfframe.localorg.store.record_ids import id18
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store, quoted
from tests.foreign import recorded_bulk1
from tests.foreign.recorded_jobs import RecordedJobs
from tests.localorg.app_client import AppClient

_ONE_CASSETTE = {"amp-labs", "salesforcepy"}  # files of which the sources are the steps of one conversation
VERSIONS = {"restforce-db": "v34.0"}  # of recordings that hide their own: by their year
_HIDDEN = "v48.0"  # and of the others
_OLDEST = 31  # what is asked of a version that is retired by now is asked of this one (rest.md 14)
_VERSION = re.compile(r"/(data|async)/+(?:v?([\d.x]+)|<api_version>)(?=/|$|\?|\")")
_ID = re.compile(r"\b[a-zA-Z0-9]{18}\b|\b[a-zA-Z0-9]{15}\b")
_IDENTITY = re.compile(r"^/id/(\w{18})/(\w{18})$")
_LOCATOR = re.compile(r"/query/(\w+)-\d+$")
_URL = re.compile(r"/services/data/[^/]*/sobjects/(\w+)/(?:Id/)?([a-zA-Z0-9]{15,18})")


@dataclass(frozen=True, slots=True)
class Interaction:
    """One request with its recorded answer; ``path`` names a version that the org serves."""

    file: str
    source: str
    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: str | None
    status: int
    answer: str
    answer_headers: dict[str, str]
    completed: bool = False  # what the recording lacks of the request was taken from the answer (completed.py)

    @property
    def resource(self) -> str:
        """The path without version, ids and parameters."""
        path = re.sub(r"/services/data/v[\d.]+", "", self.path.partition("?")[0]).rstrip("/") or "/"
        return f"{self.method} {_ID.sub('{id}', path)}"

    def answered(self) -> Any:
        """The recorded answer; whole numbers and numbers with a fraction are told apart."""
        return json.loads(self.answer) if self.answer.lstrip()[:1] in {"{", "["} else None


def load(folder: Path) -> list[list[Interaction]]:
    """All cassettes, in the order of their files."""
    cassettes: dict[tuple[str, str], list[Interaction]] = defaultdict(list)
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            one = json.loads(line)
            made = _interaction(file.stem, one)
            cassettes[made.file, "" if made.file in _ONE_CASSETTE else made.source].append(made)
    # Of the pages of a query that are kept apart, the first one comes first.
    for name, source in [key for key in cassettes if key[1].endswith("-url-2.json")]:
        cassettes[name, source.replace("-url-2.json", "-url.json")] += cassettes.pop((name, source))
    # And of what salesforcepy kept by the kind of request, records are made first and deleted last.
    for (name, _), cassette in cassettes.items():
        if name == "salesforcepy":
            cassette.sort(key=lambda one: (one.method != "POST", one.method == "DELETE"))
    return list(cassettes.values())


def _interaction(file: str, one: dict[str, Any]) -> Interaction:
    request, response = one["request"], one["response"]
    body, answer = request["body"], response["body"]
    return Interaction(
        file=file,
        source=one["source"].rpartition(":")[2],
        number=one["n"],
        method=request["method"],
        path=_in_version(request["path"], file) or "",
        headers=request["headers"],
        body=_in_version(body if body is None or isinstance(body, str) else json.dumps(body), file),
        status=response["status"],
        answer=answer if isinstance(answer, str) else "" if answer is None else json.dumps(answer),
        answer_headers={
            name.lower(): value[-1] if isinstance(value, list) else value for name, value in response["headers"].items()
        },
    )


def _in_version(text: str | None, file: str) -> str | None:
    """The text with versions that the org serves."""

    def served(found: re.Match[str]) -> str:
        interface, number = found[1], found[2]
        version = VERSIONS.get(file, _HIDDEN)
        if number is not None and "x" not in number:
            version = f"v{number}" if float(number) >= _OLDEST else f"v{_OLDEST}.0"
        return f"/data/{version}" if interface == "data" else f"/async/{version[1:]}"

    return None if text is None else _VERSION.sub(served, text)


class Stage:
    """An embedded org for one cassette."""

    def __init__(self, described: list[dict[str, Any]], cassette: list[Interaction]) -> None:
        settings = Settings(session_seconds=1e9)
        self.store = Store(None, Catalogue.standard(), settings)
        self.store.deploy(described)
        self.services = Services(self.store, settings)
        self.client = AppClient(make_app(self.services), self.services.sessions.open_session())
        self._jobs = RecordedJobs(self.services, self.client, cassette)
        self._ids: dict[str, str] = {"00D0xORGID00000000": self.store.org_id}  # as CumulusCI hides it
        for interaction in cassette:
            if (who := _IDENTITY.search(interaction.path)) is not None:
                self._ids |= {who[1]: self.store.org_id, who[2]: self.store.user_id}
        self._there = {
            one
            for interaction in cassette
            for one in _made_ids(interaction.answered(), interaction.method == "POST" or interaction.status == 201)
        } | {one for interaction in cassette for one in recorded_bulk1.made_ids(interaction.answer)}
        in_bulk = [one for one in cassette if recorded_bulk1.PATH in one.path]
        self._found_in_bulk = [row for one in in_bulk for row in self._shown(one.answered())]
        self._known: dict[str, dict[str, Any]] = defaultdict(dict)
        for interaction in cassette:
            fulfilled = _fulfilled(interaction.path)
            for _, row in self._shown(interaction.answered()):
                known = self._known[row["Id"]]
                known |= {name: value for name, value in (row | fulfilled).items() if name not in known}

    def close(self) -> None:
        self.services.close()
        self.store.close()

    def prepare(self, interaction: Interaction) -> None:
        """Put in the rows that the answer shows or the request names."""
        rows = [*self._shown(interaction.answered())]
        if recorded_bulk1.is_query(interaction):
            rows += self._found_in_bulk
        for named in _URL.finditer(f"{interaction.path} {interaction.body}"):
            gone = "entity is deleted" in interaction.answer
            rows.append((named[1], {"Id": named[2], "Name": "Named by a request", "IsDeleted": gone}))
        with self.store.cursor() as cursor:
            for name, row in rows:
                obj = self.store.catalogue.find(name) if id18(row["Id"]) == row["Id"] else None
                if obj is not None and obj.key_prefix == row["Id"][:3] and row["Id"] not in self._there:
                    self._there.add(row["Id"])
                    self._insert(cursor, obj, self._known.get(row["Id"], row))

        self._fill(interaction)
        self._view(interaction)
        self._change(interaction)

    def _fill(self, interaction: Interaction) -> None:
        """The rows of all pages before the first page is asked for, and as many more as its answer counts."""
        answer = interaction.answered()
        if not isinstance(answer, dict) or answer.get("done") is not False or "?q=" not in interaction.path:
            return
        first = next(self._shown(answer), None)
        obj = self.store.catalogue.find(first[0]) if first else None
        if obj is None or not obj.key_prefix:
            return
        with self.store.cursor() as cursor:
            for one, row in self._known.items():
                if one.startswith(obj.key_prefix) and one not in self._there:
                    self._there.add(one)
                    self._insert(cursor, obj, row)
            table = self.store.table(obj)
            there = cursor.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
            cursor.execute(
                f'INSERT INTO {table} ("Id", "IsDeleted") SELECT sf_id($1, 1000000 + i), false FROM range($2) r(i)',
                [obj.key_prefix, max(0, answer["totalSize"] - there)],
            )

    def _view(self, interaction: Interaction) -> None:
        """What was looked at before: the rows of /recent, in their order."""
        if not interaction.path.endswith("/recent"):
            return
        with self.store.cursor() as cursor:
            for at, (name, row) in enumerate(self._shown(interaction.answered())):
                obj = self.store.catalogue.find(name)
                if obj is not None and obj.field("LastViewedDate"):
                    viewed = self.store.now() - dt.timedelta(minutes=at)
                    sql = f'UPDATE {self.store.table(obj)} SET "LastViewedDate" = $1 WHERE "Id" = $2'
                    cursor.execute(sql, [viewed, row["Id"]])

    def _change(self, interaction: Interaction) -> None:
        """What had changed before: the ids of /updated and /deleted, which tell until when they looked."""
        asked = re.search(r"/sobjects/(\w+)/(updated|deleted)\?", interaction.path)
        obj = self.store.catalogue.find(asked[1]) if asked else None
        if obj is None:
            return
        answer = interaction.answered()
        self.store.clock.set(_stored("datetime", answer["latestDateCovered"]))
        rows = [{"Id": one, "SystemModstamp": answer["latestDateCovered"]} for one in answer.get("ids", [])]
        rows += [
            {"Id": one["id"], "SystemModstamp": one["deletedDate"], "IsDeleted": True}
            for one in answer.get("deletedRecords", [])
        ]
        with self.store.cursor() as cursor:
            for row in rows:
                self._insert(cursor, obj, row)

    @contextmanager
    def _counted(self, interaction: Interaction) -> Iterator[None]:
        """As many rows as an answer counts, for the time of its request."""
        filled = []
        with self.store.cursor() as cursor:
            for name, count in _counts(interaction):
                obj = self.store.catalogue.find(name)
                table = self.store.table(obj) if obj is not None else None
                if table is not None and not cursor.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]:
                    cursor.execute(
                        f'INSERT INTO {table} ("Id", "IsDeleted") SELECT \'counted\' || i, false FROM range($1) r(i)',
                        [count],
                    )
                    filled.append(table)
            yield
            for table in filled:
                cursor.execute(f"DELETE FROM {table}")

    def _insert(self, cursor: duckdb.DuckDBPyConnection, obj: ObjectDef, row: dict[str, Any]) -> None:
        now = self.store.now()
        owned: dict[str, Any] = dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), now)
        owned |= dict.fromkeys(("CreatedById", "LastModifiedById", "OwnerId"), self.store.user_id)
        defaults = {"IsDeleted": False, "Name": "-", "LastName": "-"} | owned
        values: dict[str, Any] = {}
        for name, value in (defaults | row).items():
            field = obj.field(name)
            if field is not None and not isinstance(value, dict | list) and field.type != "address":
                values[field.name] = _stored(field.type, value)
        names = ", ".join(quoted(name) for name in values)
        marks = ", ".join("?" for _ in values)
        cursor.execute(f"INSERT INTO {self.store.table(obj)} ({names}) VALUES ({marks})", list(values.values()))

    def _shown(self, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every record in an answer, with its object; parents and children point at one another."""
        if isinstance(value, list):
            for one in value:
                yield from self._shown(one)
        if not isinstance(value, dict):
            return
        url = _URL.fullmatch(str((value.get("attributes") or {}).get("url") or ""))
        obj = self.store.catalogue.find(url[1]) if url else None
        if url is None or obj is None:
            for one in value.values():
                yield from self._shown(one)
            return
        row: dict[str, Any] = {"Id": url[2]}
        for name, inner in value.items():
            reference = obj.relationship(name)
            if isinstance(inner, dict) and "records" in inner:
                yield from self._children(obj, url[2], name, inner["records"])
            elif isinstance(inner, dict) and reference is not None:
                for found, parent in self._shown(inner):
                    row.setdefault(reference.name, parent["Id"])
                    yield found, parent
            elif isinstance(inner, dict) and name.endswith("Address"):
                row |= {name.removesuffix("Address") + part[:1].upper() + part[1:]: one for part, one in inner.items()}
            elif name != "attributes":
                row[name] = inner
        yield obj.name, row

    def _children(self, obj: ObjectDef, row_id: str, name: str, records: list[Any]) -> Iterator[tuple[str, Any]]:
        field = next(
            (field for _, field in self.store.catalogue.children_of(obj) if field.child_relationship_name == name), None
        )
        for found, child in self._shown(records):
            yield found, (child if field is None else {field.name: row_id} | child)

    def play(self, interaction: Interaction) -> httpx.Response:
        """Send the request with the ids of this org, at its recorded moment, after what it asks for is there."""
        if "date" in interaction.answer_headers:
            self.store.clock.set(parsedate_to_datetime(interaction.answer_headers["date"]))
        self.prepare(interaction)
        self._ids |= self._jobs.make(interaction)
        with self._counted(interaction):
            return self._send(interaction)

    def _send(self, interaction: Interaction) -> httpx.Response:
        path, _, query = interaction.path.partition("?")
        path = f"/{self._own_ids(path).lstrip('/')}"  # two slashes would begin a host
        if query:
            path += "?" + quote(self._own_ids(unquote(query.replace("+", " "))), safe="=&'(),!<>:@/*")
        kept = {"content-type", "sforce-query-options", "x-prettyprint", "if-modified-since"}
        headers = {name: value for name, value in interaction.headers.items() if name.lower() in kept}
        if interaction.status == 401:
            headers["Authorization"] = "Bearer 00D000000000001!expired"
        body = None if interaction.body is None else self._own_ids(interaction.body).encode()
        if interaction.body is not None and "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = "text/csv" if interaction.method == "PUT" else "application/json"
            if recorded_bulk1.PATH in path:
                headers["Content-Type"] = recorded_bulk1.content_type(interaction.body)
        if recorded_bulk1.PATH in path and interaction.method == "GET":
            recorded_bulk1.await_batches(self.services, path)
        answer = self.client.request(interaction.method, path, headers=headers, content=body)
        self._learn(interaction.answered(), _json(answer.text))
        if recorded_bulk1.PATH in path:
            given, own = (recorded_bulk1.ids_of(text) for text in (interaction.answer, answer.text))
            self._ids |= {id18(one) or one: other for one, other in zip(given, own, strict=False) if one and other}
        return answer

    def _own_ids(self, text: str) -> str:
        return _ID.sub(lambda found: self._ids.get(id18(found[0]) or found[0], found[0]), text)

    def _learn(self, recorded: Any, ours: Any) -> None:
        """Where both answers name an id, the one stands for the other from now on."""
        if isinstance(recorded, dict) and isinstance(ours, dict):
            for name in recorded.keys() & ours.keys():
                if name in {"id", "Id"} and isinstance(recorded[name], str) and isinstance(ours[name], str):
                    self._ids[recorded[name]] = ours[name]
                if name == "nextRecordsUrl":
                    given, own = (_LOCATOR.search(str(one[name])) for one in (recorded, ours))
                    if given is not None and own is not None:
                        self._ids[id18(given[1]) or given[1]] = own[1]
                self._learn(recorded[name], ours[name])
        elif isinstance(recorded, list) and isinstance(ours, list):
            for one, other in zip(recorded, ours, strict=False):
                self._learn(one, other)


def _fulfilled(path: str) -> dict[str, str]:
    """What the condition of a query says of all rows that it finds, where it is that simple."""
    text = unquote(path.partition("?q=")[2])
    condition = text.partition(" WHERE ")[2]
    if re.search(r"\b(OR|NOT)\b|\(", condition, re.IGNORECASE) or " WHERE " in condition:
        return {}
    return dict(re.findall(r"(\w+) (?:=|LIKE) '([^'%]+)%?'", condition))


def _counts(interaction: Interaction) -> Iterator[tuple[str, int]]:
    """The objects of which an answer tells how many rows there are, and how many."""
    answer = interaction.answered()
    if "/limits/recordCount" in interaction.path:
        # Who is told with 0 rows had some a while ago: counts are cached (rest.md 4).
        yield from ((one["name"], one["count"] or 1) for one in answer["sObjects"])
    elif interaction.path.endswith("/composite") and interaction.body is not None and isinstance(answer, dict):
        asked = json.loads(interaction.body)["compositeRequest"]
        for one, told in zip(asked, answer.get("compositeResponse", []), strict=False):
            counted = re.search(r"\?q=select count\(\) from (\w+)$", one["url"], re.IGNORECASE)
            if counted is not None and told["httpStatusCode"] == 200:
                yield counted[1], told["body"]["totalSize"]


def _stored(field_type: str, value: Any) -> Any:
    if field_type == "datetime" and isinstance(value, str):
        return dt.datetime.fromisoformat(value).replace(tzinfo=None)
    if field_type == "datetime" and isinstance(value, int):  # so Bulk API 1.0 writes it in JSON
        return dt.datetime.fromtimestamp(value / 1000, dt.UTC).replace(tzinfo=None)
    return b"content" if field_type == "base64" and value is not None else value


def _made_ids(answer: Any, created: bool) -> Iterator[str]:
    """The ids of rows that an answer tells of as made; updates answer alike."""
    if isinstance(answer, list):
        for one in answer:
            yield from _made_ids(one, created)
    elif isinstance(answer, dict):
        if answer.get("success") is True and isinstance(answer.get("id"), str) and answer.get("created", created):
            yield answer["id"]
        for one in answer.values():
            yield from _made_ids(one, created)


# What of two answers has to agree.

_EXACT = frozenset({"totalSize", "done", "success", "created", "errorCode", "statusCode", "error", "hasErrors", "type"})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\+0000|Z)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def form(value: Any, key: str = "") -> Any:
    """What an answer says once ids, times, hosts and texts are left out: keys in order, types, flags and codes."""
    if isinstance(value, dict):
        is_error = "errorCode" in value or "statusCode" in value
        return [
            (name, _message(one) if is_error and name == "message" else form(one, name)) for name, one in value.items()
        ]
    if isinstance(value, list):
        items = [form(one, key) for one in value]
        # Without ORDER BY the order is nobody's promise.
        return sorted(items, key=repr) if key == "records" else items
    if key in _EXACT:
        return value
    return _kind(value, key)


def _kind(value: Any, key: str) -> str:
    if not isinstance(value, str):
        return type(value).__name__
    moment = _MOMENT.fullmatch(value)
    if moment is not None:
        return f"moment {moment[1]}"
    if _DATE.fullmatch(value):
        return "date"
    if value.startswith("/services/"):
        return _ID.sub("{id}", re.sub(r"/v[\d.x]+/|/<api_version>/", "/{version}/", value)).partition("?")[0]
    return "id" if key.lower().endswith("id") and _ID.fullmatch(value) else "text"


def _message(text: str) -> str:
    return _ID.sub("{id}", text)


def described(value: Any) -> Any:
    """What a describe or another long list says: the types of all members of a list, key by key."""
    if isinstance(value, dict):
        return [(name, described(one)) for name, one in value.items()]
    if isinstance(value, list):
        merged: dict[str, set[str]] = {}
        for one in value:
            for name, inner in one.items() if isinstance(one, dict) else ():
                merged.setdefault(name, set()).add(type(inner).__name__)
        return [(f"[].{name}", frozenset(types)) for name, types in merged.items()]
    return frozenset({type(value).__name__})


def unlike(ours: Any, recorded: Any, path: str = "", *, newer_keys: bool = False) -> Iterator[str]:
    """Where two forms differ, in words; with ``newer_keys`` ours may have keys that the recorded one does not know."""
    if not (_is_keyed(ours) and _is_keyed(recorded)):
        if isinstance(ours, list) and isinstance(recorded, list) and len(ours) == len(recorded):
            for number, (one, other) in enumerate(zip(ours, recorded, strict=True)):
                yield from unlike(one, other, f"{path}[{number}]", newer_keys=newer_keys)
        elif not (
            ours & recorded if isinstance(ours, frozenset) and isinstance(recorded, frozenset) else ours == recorded
        ):
            yield f"{path}: {_short(ours)}, recorded {_short(recorded)}"
        return
    here, there = dict(ours), dict(recorded)
    for name in there.keys() - here.keys():
        yield f"{path}.{name} is missing"
    if not newer_keys:
        for name in here.keys() - there.keys():
            yield f"{path}.{name} is too much"
    common = [name for name, _ in recorded if name in here]
    in_our_order = [name for name, _ in ours if name in there]
    if common != in_our_order:
        yield f"{path} has its keys in the order {in_our_order}, recorded {common}"
    for name in common:
        yield from unlike(here[name], there[name], f"{path}.{name}", newer_keys=newer_keys)


def _is_keyed(form: Any) -> bool:
    return isinstance(form, list) and all(isinstance(one, tuple) for one in form)


def _short(form: Any) -> str:
    text = ", ".join(sorted(form)) if isinstance(form, frozenset) else str(form)
    return text if len(text) < 300 else f"{text[:300]}..."


_TYPES = {"bool": "boolean", "int": "int", "float": "double", "date": "date"}


def shown_fields(value: Any) -> dict[str, dict[str, str]]:
    """The fields of the records in an answer, and of which type they seem to be, by object."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    if isinstance(value, list):
        for one in value:
            _merge(found, shown_fields(one))
    elif isinstance(value, dict):
        url = _URL.fullmatch(str((value.get("attributes") or {}).get("url") or ""))
        for name, inner in value.items():
            if url is not None and isinstance(inner, dict) and name.endswith("Address"):
                # The codes of states and countries are parts that not every org has (rest.md 5).
                codes = {name.removesuffix("Address") + part[:1].upper() + part[1:] for part in inner if "Code" in part}
                found[url[1]] |= {code: "string" for code in codes if not code.endswith("PostalCode")}
            elif isinstance(inner, dict | list):
                _merge(found, shown_fields(inner))
            elif url is not None and name not in found[url[1]]:
                kind = _kind(inner, name)
                found[url[1]][name] = "datetime" if kind.startswith("moment") else _TYPES.get(kind, "string")
    return found


def _merge(into: dict[str, dict[str, str]], found: dict[str, dict[str, str]]) -> None:
    for name, fields in found.items():
        into[name] |= fields
