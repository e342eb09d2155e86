"""A stand-in for the result files of Bulk API 2.0, written from its documentation and nothing of sfframe.

It reads an upload with Python's csv module and gives the records back in any order, with values re-serialised the way
that Java does it.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path

from sfframe.spool import Answers, Part


def java_double(number: float) -> str:
    """``Double.toString``."""
    if number == 0:
        return "0.0"
    if 1e-3 <= abs(number) < 1e7:
        return repr(number)
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    text = "".join(map(str, digits))
    return f"{'-' * sign}{text[0]}.{text[1:] or '0'}E{len(text) - 1 + int(exponent)}"


def normalised(text: str, field_type: str, scale: int) -> str:
    """A cell as the org gives it back; ValueError where it cannot read it."""
    if text in ("", "#N/A"):
        return ""
    match field_type:
        case "double" | "currency" | "percent":
            try:
                number = Decimal(text).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
            except InvalidOperation as error:
                raise ValueError(text) from error
            return java_double(float(number))
        case "int":
            return str(int(text))
        case "boolean":
            return {"true": "true", "1": "true", "false": "false", "0": "false"}[text.lower()]
        case "date":
            return dt.date.fromisoformat(text).isoformat()
        case "datetime":
            moment = dt.datetime.fromisoformat(text).astimezone(dt.UTC)
            return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
    return text


class Org:
    """Answers for one part after another. ``fate`` says, by the row's place in the upload, what becomes of it."""

    def __init__(
        self,
        folder: Path,
        types: dict[str, tuple[str, int]],
        fate: Callable[[int], str],
        *,
        seed: int = 0,
        delimiter: str = ",",
        created: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self.folder = folder
        self.types = types
        self.fate = fate
        self.created = created
        self.random = random.Random(seed)  # noqa: S311  an order, not a secret
        self.normalise = normalised
        self.delimiter = delimiter
        self.foreign: list[list[str]] = []

    def record_id(self, row: int) -> str:
        return f"a00{row:012}AAA"

    def answer(self, part: Part) -> Answers:
        text = part.path.read_bytes().decode()
        header, *records = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True)
        files: dict[str, list[list[str]]] = {"succeeded": [], "failed": [], "unprocessed": []}
        for place, record in enumerate(records, part.first_row):
            fate = self.fate(place)
            if fate == "lost":
                continue
            if fate == "unprocessed":
                files[fate].append(record)
                continue
            echoed = [
                self.normalise(cell, *self.types.get(name, ("string", 0)))
                for cell, name in zip(record, header, strict=True)
            ]
            if fate == "failed":
                files[fate].append(["", "SOME_CODE:it went wrong:Name --", *echoed])
            elif fate == "raw":
                files["failed"].append(["", "INVALID_FIELD:Failed to deserialize:Name --", *record])
            else:
                files["succeeded"].append([self.record_id(place), str(self.created(place)).lower(), *echoed])
        files["succeeded"] += [["a00999999999999AAA", "true", *cells] for cells in self.foreign]
        heads = {"succeeded": ["sf__Id", "sf__Created"], "failed": ["sf__Id", "sf__Error"], "unprocessed": []}
        paths = {}
        for name, lines in files.items():
            self.random.shuffle(lines)
            paths[name] = self.folder / f"{part.number}-{name}.csv"
            with paths[name].open("w", encoding="utf-8", newline="") as out:
                writer = csv.writer(out, delimiter=self.delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
                writer.writerow([*heads[name], *header])
                writer.writerows(lines)
        state = "JobComplete" if not files["unprocessed"] else "Failed"
        error = "InternalServerError : Retried more than 20 times" if state == "Failed" else ""
        job = f"750{part.number:015}"
        return Answers(part, job, state, paths["succeeded"], paths["failed"], paths["unprocessed"], error)
