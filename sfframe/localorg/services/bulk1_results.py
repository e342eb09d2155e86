"""Results of the rows of a batch: kept as they were saved, told in the batch's format and order (bulk1.md 3.5)."""

from __future__ import annotations

import duckdb

from sfframe.localorg.services import problems
from sfframe.localorg.services.saving import Saved

_TABLE = "jobs.bulk1_results"
NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"


def create_table(cursor: duckdb.DuckDBPyConnection) -> None:
    """Make the table of results in a new org."""
    cursor.execute(
        f"CREATE TABLE IF NOT EXISTS {_TABLE} "
        "(batch_id VARCHAR, record BIGINT, id VARCHAR, created BOOLEAN, problem VARCHAR)"
    )


def keep(cursor: duckdb.DuckDBPyConnection, batch_id: str, saved: Saved) -> None:
    """Store what became of the rows of a batch."""
    cursor.execute(
        f"INSERT INTO {_TABLE} SELECT ?, record, id, created, problem FROM ({saved.outcomes}) ORDER BY record",
        [batch_id],
    )


def drop(cursor: duckdb.DuckDBPyConnection, batch_id: str) -> None:
    """Forget the results of a batch."""
    cursor.execute(f"DELETE FROM {_TABLE} WHERE batch_id = ?", [batch_id])


def rows_text(cursor: duckdb.DuckDBPyConnection, batch_id: str, content_type: str) -> str:
    """The results as one CSV, JSON or XML text, one per row in the order of the upload."""
    head, row, between, tail = _FORMATS[content_type]
    query = f"SELECT string_agg({row}, {problems.literal(between)} ORDER BY record) FROM {_TABLE} WHERE batch_id = ?"
    text = cursor.execute(query, [batch_id]).fetchall()[0][0]
    return head + (text or "") + (tail if text else tail.lstrip("\n"))


def xml_text(column: str) -> str:
    """SQL: the text as it stands between two tags."""
    return f"replace(replace(replace({column}, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')"


def _csv_row() -> str:
    error = f"coalesce(replace({problems.bulk_text('problem', between=' ')}, '\"', '\"\"'), '')"
    cells = ["coalesce(id, '')", "CASE WHEN problem IS NULL THEN 'true' ELSE 'false' END", "created", error]
    return f"'\"' || concat_ws('\",\"', {', '.join(cells)}) || '\"'"


def _json_row() -> str:
    names = (
        f"CASE WHEN {problems.fields('problem')} = '' THEN [] ELSE string_split({problems.fields('problem')}, ', ') END"
    )
    # statusCode, message and fields are those of the client library, the last member is from memory (bulk1.md 3.5).
    error = (
        f"'{{\"message\":' || to_json({problems.message('problem')}) || ',\"fields\":' || to_json({names}) "
        f"|| ',\"statusCode\":' || to_json({problems.code('problem')}) || ',\"extendedErrorDetails\":null}}'"
    )
    return (
        "'{\"success\":' || (problem IS NULL) || ',\"created\":' || created || ',\"id\":' "
        f"|| coalesce(CAST(to_json(id) AS VARCHAR), 'null') || ',\"errors\":[' || coalesce({error}, '') || ']}}'"
    )


def _xml_row() -> str:
    names = f"string_split({problems.fields('problem')}, ', ')"
    fields = (
        f"CASE WHEN {problems.fields('problem')} = '' THEN '' "
        f"ELSE '<fields>' || array_to_string({names}, '</fields><fields>') || '</fields>' END"
    )
    message, code = xml_text(problems.message("problem")), problems.code("problem")
    error = (
        f"'<errors>' || {fields} || '<message>' || {message} || '</message><statusCode>' || {code} "
        "|| '</statusCode></errors>'"
    )
    return (
        f"' <result>' || coalesce({error}, '') || coalesce('<id>' || id || '</id>', '') || '<success>' "
        "|| (problem IS NULL) || '</success><created>' || created || '</created></result>'"
    )


# Of each format: what stands before the rows, a row in SQL, what stands between two and what behind the last.
_FORMATS = {
    "CSV": ('"Id","Success","Created","Error"\n', _csv_row(), "\n", "\n"),
    "JSON": ("[", _json_row(), ",", "]"),
    "XML": (
        f'<?xml version="1.0" encoding="UTF-8"?><results\n   xmlns="{NAMESPACE}">\n',
        _xml_row(),
        "\n",
        "\n</results>",
    ),
}
