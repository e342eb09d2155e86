"""Recorded answers of real orgs agree with those of the embedded org: status, keys in order, types, codes, messages.

Every difference has its reason in a table below; the counts are printed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.routes.pretty_json import pretty
from tests.foreign import recorded_bulk1
from tests.foreign.completed import completed
from tests.foreign.recorded_jobs import csv_form
from tests.foreign.recordings import Interaction, Stage, described, form, load, shown_fields, unlike

pytestmark = pytest.mark.slow

# Objects of the recorded orgs whose describes nobody published: the fields that the requests and answers show.
MOVIES: list[dict[str, Any]] = [
    {
        "name": "Movie__c",
        "fields": [
            {
                "name": "Rating__c",
                "label": "Rating",
                "type": "picklist",
                "restrictedPicklist": True,
                "picklistValues": [{"value": "Excellent", "label": "Excellent", "active": True}],
            },
            {"name": "ReleaseDate__c", "label": "Release Date", "type": "date"},
            {"name": "Franchise__c", "type": "reference", "referenceTo": ["Franchise__c"]},
        ],
    },
    {"name": "Franchise__c", "fields": []},
    {"name": "Spaceship__c", "fields": [{"name": "Website__c", "type": "url", "nillable": False}]},
]
DEPLOYED: dict[str, list[dict[str, Any]]] = {
    "sf-fx-java": MOVIES,
    "sf-fx-nodejs": MOVIES,
    "salesforcepy": [
        {"name": "Upsert_Object__c", "fields": [{"name": "External_Field__c", "type": "string", "externalId": True}]}
    ],
    "amp-labs": [{"name": "Opportunity", "fields": [{"name": "external_id__c", "type": "string", "externalId": True}]}],
    "salesforce_ar_sync": [{"name": "Contact", "fields": [{"name": "WebId__c", "type": "double", "externalId": True}]}],
}
# Recorded orgs of which describes are published, and the objects that differ from those of a new org.
DESCRIBES = {
    "restforce-db": ["CustomObject__c", "CustomObjectDetail__c"],
    "ruby-restforce-fixtures": ["Whizbang"],
    "cumulusci": ["Account", "Contact", "Lead", "Event", "Opportunity", "Organization", "Custom__c"],
}

_OUT_OF_REACH = {
    r"^/(login|SFDO)": "a call of another service than Salesforce",
    r"/Soap/|/services/oauth2/|/id/\{": "a login whose secrets are redacted; test_logins.py has the like",
    r"/tooling/": "of the tooling: Apex, its tests and installed packages, none of which this org has",
    r"/process/|/chatter/|/connect/|/wave/|/einstein/|/apexrest/|/listviews/": "no resource for data",
}


def out_of_reach(one: Interaction) -> str | None:
    """Why an interaction cannot be played."""
    for pattern, reason in _OUT_OF_REACH.items():
        if re.search(pattern, one.path):
            return reason
    if one.source.endswith("_no_body.json"):
        return "a fault, not an answer"
    if "/async/" in one.path and one.file != "cumulusci":
        return "Bulk API 1.0 without its requests; tests/localorg/test_bulk1_recordings.py compares the documents"
    asked = one.path.partition("?q=")[2]
    if (
        "{" in one.path
        or re.search(r"/(query|search)/$", one.path)
        or ("?q=" in one.path and not re.match(r"sele[a-z]*[ +%]", asked, re.IGNORECASE))
    ):
        return "the request is not recorded whole"
    if one.method in {"POST", "PATCH", "PUT"} and one.body is None:
        return "the request's body is not recorded"
    if "ManualEdit" in one.source:
        return "edited by hand"
    if one.status == 500 or "<!doctype html" in one.answer[:50]:
        return "a fault, not an answer"
    return None


@dataclass(frozen=True, slots=True)
class Known:
    """Differences that are known: why, in which file, and what their source, number and path together look like."""

    reason: str
    file: str
    pattern: str

    def covers(self, one: Interaction) -> bool:
        """Is the difference of this interaction one of them?"""
        return one.file == self.file and re.search(self.pattern, f"{one.source} {one.number} {one.path}") is not None


_NO_ORDER = "up to v37 the keys stood in no order, and before v27 errors named the message first"
_CHANGED = "only distinct interactions were kept: a change in between is missing"
_BY_ID = "without ORDER BY the embedded org answers in the order of ids, the recorded one in no order"
_EDITION = "fields and links of another edition of the org"
KNOWN = [
    Known(_NO_ORDER, "java-spring-social", r"account_desc|sobjects\.json|services\.json"),
    Known(_NO_ORDER, "restforce-db", r"/describe$|/data/v34\.0/$"),
    Known(_NO_ORDER, "ruby-restforce-fixtures", r"services_data|find_error|describe_error"),
    Known(_NO_ORDER, "salesforce_ar_sync", r"/describe$|nil_out_any_values"),
    Known(_NO_ORDER, "cumulusci", r"GET_sobjects_Case_describe"),
    Known(
        _EDITION, "cumulusci", r"/sobjects/(Organization/00D0xORGID|(Account|Event|OpportunityContactRole)/describe)"
    ),
    Known(_CHANGED, "cumulusci", r"similarity_select_and_insert_strategy\.yaml 32 "),
    Known(_CHANGED, "restforce-db", r"updates_the_association_ID_in_Salesforce\.yml (8|10) "),
    Known(_EDITION, "salesforcepy", r"/Idea/describe"),
    Known("members that came later, and the address of the recorded user", "restforce-db", r"/id/"),
    Known(
        "the default of Visible__c is in no describe", "restforce-db", r"meets_the_conditions/finds_the_record\.yml 3 "
    ),
    Known(_NO_ORDER, "java-spring-social", r"account\.json 0 "),
    Known("a number lost its fraction when it was kept", "salesforcepy", r"jobs_update_close"),
    Known(
        "a job that was made is told with 201 in all other recordings", "cumulusci", r"insert_strategy_bulk.* (36|43) "
    ),
    Known("an id is that of another object", "amp-labs", r"read-opportunity-with-contacts"),
    Known("the answer is another one than the request asked for", "sf-fx-nodejs", r"query-resource-not-found"),
    Known("the ids are made up", "ruby-restforce-fixtures", r"/recent$"),
    Known(_BY_ID, "sf-fx-java", r"with-next-records-url"),
    Known(_BY_ID, "sf-fx-nodejs", r"with-next-records-url"),
]


# What depends on the version and on what the org has: keys and types are compared, not how many there are.
_LONG_LISTS = re.compile(r"/describe$|/sobjects(/Account)?/?$|/services/data/?$|/v\d+\.0/?$")


# Answers that were kept as parsed values, whose keys are in the order of an old Python's dicts.
_NO_ORDER_KEPT = {"salesforcepy"}


def differences(one: Interaction, answer: httpx.Response) -> list[str]:
    """What does not agree, in words."""
    if answer.status_code != one.status:
        return [f"status {answer.status_code}, recorded {one.status}: {answer.text[:300]}"]
    recorded = one.answered()
    if recorded is None and "/async/" in one.path:
        return recorded_bulk1.differences(one, answer.text)
    if recorded is None and "/jobs/ingest/" in one.path and one.method == "GET":
        ours, theirs = csv_form(answer.text), csv_form(one.answer)
        return [] if ours == theirs else [f"{ours}, recorded {theirs}"]
    if recorded is None:
        return []  # what a file holds is not the same in both orgs
    if _LONG_LISTS.search(one.path.partition("?")[0]):
        found = unlike(described(answer.json()), described(recorded), newer_keys=True)
    else:
        found = unlike(form(answer.json()), form(recorded))
    return [one_of for one_of in found if one.file not in _NO_ORDER_KEPT or " has its keys in the order " not in one_of]


def objects_of(cassette: list[Interaction], reference: Callable[[str], Path]) -> list[dict[str, Any]]:
    """What the recorded org had besides a new one: objects and fields, with the key prefixes that are seen."""
    file = cassette[0].file
    whole = " ".join(f"{one.path} {one.answer} {one.body}" for one in cassette)
    names = [name for name in DESCRIBES.get(file, []) if name in whole]
    objects = {name: json.loads(reference(f"describes/full/{name}.json").read_text()) for name in names}
    objects |= {one["name"]: one | {"fields": [*one["fields"]]} for one in DEPLOYED.get(file, [])}
    for interaction in cassette:
        for name, fields in shown_fields(interaction.answered()).items():
            one = objects.setdefault(name, {"name": name, "fields": []})
            known = Catalogue.standard().find(name)
            taken = {field["name"] for field in one["fields"]} | {field.name for field in known or ()}
            one["fields"] += [_field(field, kind) for field, kind in fields.items() if field not in taken]
            if interaction.path.endswith("/recent") and "LastViewedDate" not in taken:
                one["fields"].append({"name": "LastViewedDate", "type": "datetime"})
    for name, found in re.findall(r"/sobjects/(\w+)/(\w{15,18})", whole):
        if name.endswith("__c") or Catalogue.standard().find(name) is None:
            objects.get(name, {})["keyPrefix"] = found[:3]
    return list(objects.values())


def _field(name: str, kind: str) -> dict[str, Any]:
    """A field as far as an answer shows it; codes are parts of addresses (rest.md 5)."""
    found = {"name": name, "type": kind}
    of_address = re.fullmatch(r"(\w*?)(State|Country)Code", name)
    return found | {"compoundFieldName": f"{of_address[1]}Address"} if of_address else found


def test_recorded_answers_agree_with_ours(reference: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    reasons: Counter[str] = Counter()
    unexplained: list[str] = []
    met: set[Known] = set()
    for recorded in load(reference("recordings/traffic")):
        cassette = [completed(one) for one in recorded]
        playable = [one for one in cassette if out_of_reach(one) is None]
        for one in cassette:
            reason = out_of_reach(one)
            if reason is not None:
                counts["not replayable", one.resource] += 1
                reasons[f"not replayable: {reason}"] += 1
        if not playable:
            continue
        stage = Stage(objects_of(cassette, reference), playable)
        for one in playable:
            found = differences(one, stage.play(one))
            if not found:
                counts["agrees", one.resource] += 1
                reasons["agrees, with a request completed by its answer"] += one.completed
                continue
            known = next((each for each in KNOWN if each.covers(one)), None)
            counts["differs", one.resource] += 1
            if known is None:
                unexplained.append(
                    f"{one.file} {one.source} {one.number}: {one.method} {one.path}\n  " + "\n  ".join(found)
                )
            else:
                reasons[f"differs: {known.reason}"] += 1
                met.add(known)
        stage.close()
    with capsys.disabled():
        print(table(counts, reasons))
    assert not unexplained, "\n".join(unexplained)
    assert [known for known in KNOWN if known not in met] == []


def test_pretty_answers_are_printed_as_recorded_to_the_letter(reference: Callable[[str], Path]) -> None:
    all_of_them = [one for cassette in load(reference("recordings/traffic")) for one in cassette]
    # The fixtures of restforce were laid out by hand, as were all whose members have no blank before the colon.
    answers = [one.answer for one in all_of_them if one.file != "ruby-restforce-fixtures"]
    printed = [one for one in answers if re.match(r'\{\n  "\w+" : ', one) and not one.endswith("\n")]
    assert len(printed) > 50
    assert [one for one in printed if pretty(one) != one] == []


def table(counts: Counter[tuple[str, str]], reasons: Counter[str]) -> str:
    """The counts by resource, and by reason."""
    kinds = ("agrees", "differs", "not replayable")
    resources = sorted({resource for _, resource in counts})
    lines = [f"\n{'':60} " + " ".join(f"{kind:>14}" for kind in kinds)]
    lines += [f"{one:60} " + " ".join(f"{counts[kind, one]:14}" for kind in kinds) for one in resources]
    totals = [sum(count for (kind, _), count in counts.items() if kind == wanted) for wanted in kinds]
    lines += [f"{'all':60} " + " ".join(f"{total:14}" for total in totals), ""]
    return "\n".join(lines + [f"{count:5} {reason}" for reason, count in sorted(reasons.items())])
