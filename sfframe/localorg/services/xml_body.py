"""XML of a request, read without entities: a document type is refused before anything in it is looked at."""

from __future__ import annotations

from typing import NoReturn
from xml.etree import ElementTree as ET


class RefusedXml(ValueError):
    """The body is no XML, or XML with a document type (where entities that blow up are declared)."""


class _NoDocumentType(ET.TreeBuilder):
    def doctype(self, _name: str, _public_id: str | None, _system: str | None) -> NoReturn:
        raise RefusedXml("DOCTYPE is not allowed")


def read_xml(body: bytes) -> ET.Element:
    """The root of the document. Raises RefusedXml."""
    parser = ET.XMLParser(target=_NoDocumentType())  # noqa: S314 - entities are refused above
    try:
        parser.feed(body)
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise error if isinstance(error, RefusedXml) else RefusedXml(str(error)) from error
    return root


def local_name(element: ET.Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def child(element: ET.Element | None, name: str) -> ET.Element | None:
    """The first child of that name in whatever namespace (clients write them differently: clients.md, row 1)."""
    return next((one for one in element if local_name(one) == name), None) if element is not None else None


def text_of(element: ET.Element | None, name: str) -> str:
    """The text of the child ``name``; empty where it is missing or has none."""
    found = child(element, name)
    return (found.text or "") if found is not None else ""
