"""XML as it enters the house, to the few shapes that an org sends: an element of plain members, or a list of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn
from xml.etree import ElementTree as ET

from sfframe.protocol.call import Reply
from sfframe.protocol.json_body import UnreadableAnswer

Members = Mapping[str, str]


class _NoDocumentType(ET.TreeBuilder):
    def doctype(self, _name: str, _public_id: str | None, _system: str | None) -> NoReturn:
        raise UnreadableAnswer("the answer is XML with a document type, which could blow up")


def read_element(reply: Reply, name: str) -> ET.Element:
    """The root of the body, which must have that name in whatever namespace."""
    parser = ET.XMLParser(target=_NoDocumentType())  # noqa: S314 - entities need a document type, refused above
    try:
        parser.feed(reply.body.lstrip())
        root: ET.Element = parser.close()
    except (ET.ParseError, LookupError) as problem:  # LookupError: an encoding that nobody knows
        raise UnreadableAnswer("the answer is not XML") from problem
    if local_name(root) != name:
        raise UnreadableAnswer(f"an element {name} was expected, but {local_name(root)} came")
    return root


def members(element: ET.Element) -> Members:
    """The element's children, name and text; those without text are left out."""
    return {local_name(one): one.text.strip() for one in element if one.text is not None and one.text.strip()}


def local_name(element: ET.Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2]
