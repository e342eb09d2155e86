"""Describe: which objects the org has, and what one of them looks like (rest.md 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from sfframe.protocol.call import Call, Reply
from sfframe.protocol.json_body import (
    JsonObject,
    UnreadableAnswer,
    flag,
    number,
    objects,
    read_object,
    required_text,
    text,
)
from sfframe.schema import ChildRelationship, Field, PicklistValue, RecordType, SObject

_NOT_MODIFIED = 304
_SETTLED = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """One line of describe global: an object's name and what this user may do with it."""

    name: str
    label: str
    key_prefix: str | None
    custom: bool
    queryable: bool
    createable: bool
    updateable: bool
    deletable: bool
    label_plural: str = ""


def describe_global() -> Call[tuple[ObjectSummary, ...]]:
    """All objects that this user can see, in the org's order."""
    return Call("GET", "sobjects", _read_global, repeatable=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """A describe as it came, and what the org needs to say whether it still holds; texts are empty where unknown.

    ``last_modified`` is only kept where it can be trusted: those dates have whole seconds (rest.md 6.5), and a field
    that was made in the second of the answer, but after it, would stay unseen.
    """

    body: bytes = field(repr=False)
    etag: str = ""
    last_modified: str = ""

    def sobject(self) -> SObject:
        """The describe as data."""
        return read_sobject(read_object(Reply(200, {}, self.body)))


def describe(sobject: str) -> Call[SObject]:
    """One object, with all its fields, whatever was known of it."""
    return Call("GET", f"sobjects/{quote(sobject, safe='')}/describe", _read_describe, repeatable=True)


def describe_if_changed(sobject: str, kept: Kept | None) -> Call[tuple[SObject, Kept]]:
    """One object, and what to keep of it: ``kept`` itself where the org says that it still holds.

    Both the ETag and the date are sent: ETags of describes are recorded but nowhere promised (rest.md 1.3, 1.4), and an
    org that knows them goes by them alone.
    """
    known = {} if kept is None else {"If-None-Match": kept.etag, "If-Modified-Since": kept.last_modified}
    headers = {name: value for name, value in known.items() if value}

    def read(reply: Reply) -> tuple[SObject, Kept]:
        if reply.status == _NOT_MODIFIED:
            if kept is None or not headers:
                raise UnreadableAnswer("the org says that nothing changed, but nothing was known")
            return kept.sobject(), kept
        new = Kept(reply.body, reply.headers.get("etag", ""), _trusted(reply))
        return new.sobject(), new

    path = f"sobjects/{quote(sobject, safe='')}/describe"
    return Call("GET", path, read, repeatable=True, headers=headers, accepts=frozenset({_NOT_MODIFIED}))


def _trusted(reply: Reply) -> str:
    """Last-Modified, where the answer was made so much later that the next change will have another one."""
    stamp = reply.headers.get("last-modified", "")
    try:
        age = parsedate_to_datetime(reply.headers.get("date", "")) - parsedate_to_datetime(stamp)
    except (ValueError, TypeError):
        return ""
    return stamp if age >= _SETTLED else ""


def describe_json(sobject: str) -> Call[JsonObject]:
    """One object as the org describes it, with everything that ``describe`` leaves out."""
    return Call("GET", f"sobjects/{quote(sobject, safe='')}/describe", read_object, repeatable=True)


def read_sobject(source: JsonObject) -> SObject:
    """The describe's JSON of any API version: keys that older versions lack take the value they mean there."""
    return SObject(
        name=required_text(source, "name"),
        label=text(source, "label"),
        key_prefix=text(source, "keyPrefix") or None,
        fields=tuple(_read_field(one) for one in objects(source.get("fields"))),
        custom=flag(source, "custom"),
        createable=flag(source, "createable"),
        updateable=flag(source, "updateable"),
        deletable=flag(source, "deletable"),
        queryable=flag(source, "queryable"),
        label_plural=text(source, "labelPlural"),
        child_relationships=tuple(_read_child(one) for one in objects(source.get("childRelationships"))),
        record_types=tuple(_read_record_type(one) for one in objects(source.get("recordTypeInfos"))),
    )


def _read_child(source: JsonObject) -> ChildRelationship:
    return ChildRelationship(
        name=text(source, "relationshipName") or None,
        child=required_text(source, "childSObject"),
        field=text(source, "field"),
        cascade_delete=flag(source, "cascadeDelete"),
        restricted_delete=flag(source, "restrictedDelete"),
    )


def _read_record_type(source: JsonObject) -> RecordType:
    name = text(source, "name")
    return RecordType(
        id=text(source, "recordTypeId"),
        developer_name=text(source, "developerName") or name,  # versions before 44 or so have the label only
        name=name,
        active=flag(source, "active", absent=True),
        available=flag(source, "available"),
        default=flag(source, "defaultRecordTypeMapping"),
        master=flag(source, "master"),
    )


def _read_describe(reply: Reply) -> SObject:
    return read_sobject(read_object(reply))


def _read_global(reply: Reply) -> tuple[ObjectSummary, ...]:
    return tuple(
        ObjectSummary(
            name=required_text(one, "name"),
            label=text(one, "label"),
            key_prefix=text(one, "keyPrefix") or None,
            custom=flag(one, "custom"),
            queryable=flag(one, "queryable"),
            createable=flag(one, "createable"),
            updateable=flag(one, "updateable"),
            deletable=flag(one, "deletable"),
            label_plural=text(one, "labelPlural"),
        )
        for one in objects(read_object(reply).get("sobjects"))
    )


def _read_field(source: JsonObject) -> Field:
    reference_to = source.get("referenceTo")
    return Field(
        name=required_text(source, "name"),
        label=text(source, "label"),
        type=required_text(source, "type"),
        length=number(source, "length"),
        precision=number(source, "precision"),
        scale=number(source, "scale"),
        digits=number(source, "digits"),
        nillable=flag(source, "nillable", absent=True),
        createable=flag(source, "createable"),
        updateable=flag(source, "updateable"),
        defaulted_on_create=flag(source, "defaultedOnCreate"),
        calculated=flag(source, "calculated"),
        auto_number=flag(source, "autoNumber"),
        external_id=flag(source, "externalId"),
        id_lookup=flag(source, "idLookup"),
        unique=flag(source, "unique"),
        case_sensitive=flag(source, "caseSensitive"),
        name_field=flag(source, "nameField"),
        custom=flag(source, "custom"),
        filterable=flag(source, "filterable", absent=True),
        sortable=flag(source, "sortable", absent=True),
        groupable=flag(source, "groupable", absent=True),
        aggregatable=flag(source, "aggregatable", absent=True),
        restricted_picklist=flag(source, "restrictedPicklist"),
        picklist_values=tuple(_read_picklist_value(one) for one in objects(source.get("picklistValues"))),
        reference_to=tuple(str(name) for name in reference_to) if isinstance(reference_to, list) else (),
        relationship_name=text(source, "relationshipName") or None,
        # versions before 30 or so have namePointing only (rest.md 6.4)
        polymorphic=flag(source, "polymorphicForeignKey", absent=flag(source, "namePointing")),
        compound_field_name=text(source, "compoundFieldName") or None,
        extra_type_info=text(source, "extraTypeInfo") or None,
    )


def _read_picklist_value(source: JsonObject) -> PicklistValue:
    value = text(source, "value")
    return PicklistValue(
        value=value,
        label=text(source, "label") or value,
        active=flag(source, "active", absent=True),
        default=flag(source, "defaultValue"),
    )
