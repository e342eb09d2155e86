"""Record ids: made, completed to 18 characters and checked, one at a time and as SQL macros over whole columns.

An id is 3 characters key prefix, 2 pod, 1 reserved and a counter of 9 digits in base 62. Three more characters tell
which letters of the 15 are capitals, so that the id survives systems that ignore case (rest.md 10).
"""

from __future__ import annotations

import functools
import re

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # in the server's sort order
SUFFIXES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
BLOCK = 62**5  # records whose ids differ in their last five digits only
_FIFTEEN, _THREE = "[0-9A-Za-z]{15}", "[A-Z0-5]{3}"
_SHAPE = re.compile(f"{_FIFTEEN}({_THREE})?")


def suffix(fifteen: str) -> str:
    """The three characters that complete an id of 15."""
    return "".join(_suffix_of(fifteen[start : start + 5]) for start in (0, 5, 10))


@functools.lru_cache(maxsize=10_000)
def _suffix_of(group: str) -> str:
    return SUFFIXES[sum(1 << at for at, each in enumerate(group) if "A" <= each <= "Z")]


def record_id(prefix: str, pod: str, number: int) -> str:
    """The 18-character id of the ``number``-th record."""
    high, low = divmod(number, BLOCK)
    fifteen = f"{prefix}{pod}0{_digits(high, 4)}{_digits(low, 5)}"
    return fifteen + suffix(fifteen)


@functools.lru_cache(maxsize=10_000)
def _digits(number: int, count: int) -> str:
    digits = ""
    for _ in range(count):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits


def id18(text: str) -> str | None:
    """The id in its 18-character form, or None where the text is no id or its suffix tells of other capitals.

    An id of 18 characters that lost its case is refused, as Apex's Id.valueOf refuses it.
    """
    if not _SHAPE.fullmatch(text):
        return None
    complete = text[:15] + suffix(text[:15])
    return complete if complete.startswith(text) else None


def macros(pod: str) -> str:
    """The SQL of ``sf_id(prefix, n)`` and ``id18(text)``, which agree with ``record_id`` and ``id18``.

    About 0.3 s per million rows each. Digits are compared as numbers, and capitals found as the bits in which a text
    differs from its lower case: cutting texts into characters took three times as long. The verdict picks from a list
    instead of a CASE, because DuckDB computes equal expressions once only outside of a CASE.

    ``sf_id_of(prefix, block, n)`` is the id of the n-th record of a block of ``BLOCK``. Where prefix and block are
    constants all that follows from them is worked out once, which makes it twice as quick as ``sf_id``.
    """
    prefix_is_capital = [_is_capital(f"(prefix || '{pod}')", at) for at in range(5)]
    block_is_capital = ["0", *(_digit_is_capital("block", 3 - at) for at in range(4))]
    n_is_capital = [_digit_is_capital("n", 4 - at) for at in range(5)]
    return f"""
        CREATE OR REPLACE MACRO sf_id_of(prefix, block, n) AS concat(
            prefix || '{pod}0' || {_two_digits("block", 2)} || {_two_digits("block", 0)},
            {_two_digits("n", 3)}, {_two_digits("n", 1)}, substr('{ALPHABET}', CAST(n % 62 AS INT) + 1, 1),
            {_suffix_character(prefix_is_capital)} || {_suffix_character(block_is_capital)},
            {_suffix_character(n_is_capital)});
        CREATE OR REPLACE MACRO sf_id(prefix, n) AS sf_id_of(prefix, n // {BLOCK}, n % {BLOCK});
        CREATE OR REPLACE MACRO sf_fifteen(x) AS rpad(regexp_extract(x, '^({_FIFTEEN})(?:{_THREE})?$', 1), 15, '0');
        CREATE OR REPLACE MACRO sf_capitals(x) AS
            xor(CAST(encode(sf_fifteen(x)) AS BIT), CAST(encode(lower(sf_fifteen(x))) AS BIT));
        CREATE OR REPLACE MACRO sf_suffix(x) AS {" || ".join(_suffix_of_group(group) for group in range(3))};
        CREATE OR REPLACE MACRO id18(x) AS [sf_fifteen(x) || sf_suffix(x)][
            1 + CAST(NOT regexp_full_match(x, '{_FIFTEEN}({_THREE})?')
                     OR substr(x, 16, 3) NOT IN ('', sf_suffix(x)) AS INT)];
    """


def _two_digits(number: str, power: int) -> str:
    """SQL: the digits of 62 to the ``power`` and of the power above it."""
    pairs = "".join(first + second for first in ALPHABET for second in ALPHABET)
    return f"substr('{pairs}', CAST(({number} // {62**power}) % {62**2} AS INT) * 2 + 1, 2)"


def _suffix_character(bits: list[str]) -> str:
    index = " + ".join(f"{1 << at} * CAST({bit} AS INT)" for at, bit in enumerate(bits))
    return f"substr('{SUFFIXES}', 1 + {index}, 1)"


def _digit_is_capital(number: str, power: int) -> str:
    return f"(({number} // {62**power}) % 62 BETWEEN 10 AND 35)"


def _is_capital(text: str, at: int) -> str:
    return f"(ascii(substr({text}, {at + 1}, 1)) BETWEEN 65 AND 90)"


def _suffix_of_group(group: int) -> str:
    # Bit 2 of an ASCII letter (0x20) is what sets small letters apart.
    return _suffix_character([f"get_bit(sf_capitals(x), {8 * (5 * group + at) + 2})" for at in range(5)])
