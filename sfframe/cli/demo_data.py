"""Sample accounts and contacts for ``sfframe demo``, some of them spoilt the way real data is spoilt.

Names and places come from pools that mimesis draws; everything else is drawn by column. One seed gives one data set.
"""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Mapping, Sequence

import polars as pl

INDUSTRIES = ("Agriculture", "Banking", "Biotechnology", "Construction", "Education", "Energy", "Media", "Retail")
TIERS = ("Bronze", "Silver", "Gold")

# Fields that the demo adds to its embedded org, as describe would give them.
OBJECTS: tuple[dict[str, object], ...] = (
    {
        "name": "Account",
        "fields": [
            {
                "name": "Account_No__c",
                "label": "Account No",
                "type": "string",
                "length": 12,
                "externalId": True,
                "unique": True,
            },
            {"name": "Customer_Since__c", "label": "Customer Since", "type": "date"},
            {
                "name": "Tier__c",
                "label": "Tier",
                "type": "picklist",
                "restrictedPicklist": True,
                "picklistValues": [{"value": tier, "label": tier, "active": True} for tier in TIERS],
            },
        ],
    },
    {
        "name": "Contact",
        "fields": [
            {
                "name": "Contact_No__c",
                "label": "Contact No",
                "type": "string",
                "length": 12,
                "externalId": True,
                "unique": True,
            },
        ],
    },
)

ACCOUNT_COLUMNS: Mapping[str, str] = {
    "account_no": "Account_No__c",
    "company": "Name",
    "industry": "Industry",
    "tier": "Tier__c",
    "customer_since": "Customer_Since__c",
    "revenue": "AnnualRevenue",
    "employees": "NumberOfEmployees",
    "phone": "Phone",
    "street": "BillingStreet",
    "city": "BillingCity",
    "postal_code": "BillingPostalCode",
}
CONTACT_COLUMNS: Mapping[str, str] = {
    "contact_no": "Contact_No__c",
    "first_name": "FirstName",
    "last_name": "LastName",
    "email": "Email",
    "job": "Title",
    "birthdate": "Birthdate",
    "account_no": "Account.Account_No__c",
}


def fields_for(frame: pl.DataFrame) -> tuple[dict[str, str | None], list[dict[str, object]]]:
    """For a file of the user's: which column goes to which field of Account, and the text fields to make for the rest.

    A column that is called like one of the plain fields that everybody knows goes there; ``Id`` stays at home.
    """
    known = {name.casefold(): name for name in ACCOUNT_COLUMNS.values() if not name.endswith("__c")}
    columns: dict[str, str | None] = {}
    made: list[dict[str, object]] = []
    for name in frame.columns:
        found = known.get(name.casefold())
        if found is None and name.casefold() != "id":
            found = re.sub(r"\W+", "_", name).strip("_") + "__c"
            made.append({"name": found, "label": name, "type": "textarea", "length": 32_768})
        columns[name] = found
    if "Name" not in columns.values():  # an account must have one: the first column stands in
        columns[frame.columns[0]] = "Name"
        made = [field for field in made if field["label"] != frame.columns[0]]
    return columns, made


def accounts(rows: int, seed: int) -> pl.DataFrame:
    """``rows`` accounts as text, as a CSV file would give them; about one in fifty is spoilt."""
    from mimesis import Address, Finance
    from mimesis.locales import Locale

    draw = random.Random(seed)  # noqa: S311 - sample data
    finance, address = Finance(Locale.EN, seed=seed), Address(Locale.EN, seed=seed)
    pool = range(min(rows, 500))
    companies = [f"{finance.company()} {finance.company_type(abbr=True)}" for _ in pool]
    streets = [address.address() for _ in pool]
    cities = [address.city() for _ in pool]
    frame = pl.DataFrame(
        {
            "account_no": [f"A{number:06d}" for number in range(1, rows + 1)],
            "company": draw.choices(companies, k=rows),
            "industry": draw.choices(INDUSTRIES, k=rows),
            "tier": draw.choices(TIERS, weights=(6, 3, 1), k=rows),
            "customer_since": _days(draw, rows, dt.date(2008, 1, 1), dt.date(2026, 6, 30)),
            "revenue": [f"{10 ** draw.uniform(5, 9):.0f}" for _ in range(rows)],
            "employees": [str(int(10 ** draw.uniform(0, 4))) for _ in range(rows)],
            "phone": _phones(draw, rows),
            "street": draw.choices(streets, k=rows),
            "city": draw.choices(cities, k=rows),
            "postal_code": [f"{draw.randrange(100_000):05d}" for _ in range(rows)],
        }
    )
    return _spoilt(
        frame,
        draw,
        {
            "company": ("", None),
            "tier": ("Platinum", "gold member"),
            "customer_since": ("31.02.2021", "2024-13-01"),
            "street": ("Long Lane " * 30,),
            "employees": ("about 20",),
            "account_no": (frame["account_no"][0],),
        },
    )


def contacts(rows: int, seed: int, parents: pl.Series) -> pl.DataFrame:
    """``rows`` contacts of the accounts that ``parents`` numbers; about one in fifty is spoilt."""
    from mimesis import Person
    from mimesis.locales import Locale

    draw = random.Random(seed + 1)  # noqa: S311 - sample data
    person = Person(Locale.EN, seed=seed)
    pool = range(min(rows, 500))
    first = draw.choices([person.first_name() for _ in pool], k=rows)
    last = draw.choices([person.last_name() for _ in pool], k=rows)
    frame = pl.DataFrame(
        {
            "contact_no": [f"C{number:06d}" for number in range(1, rows + 1)],
            "first_name": first,
            "last_name": last,
            "email": [
                f"{one}.{two}@example.com".lower().replace(" ", "") for one, two in zip(first, last, strict=True)
            ],
            "job": draw.choices([person.occupation() for _ in pool], k=rows),
            "birthdate": _days(draw, rows, dt.date(1955, 1, 1), dt.date(2004, 12, 31)),
            "account_no": draw.choices(parents.drop_nulls().to_list(), k=rows),
        }
    )
    return _spoilt(
        frame,
        draw,
        {
            "last_name": ("", None),
            "email": ("no address",),
            "birthdate": ("sometime in May",),
            "account_no": ("A999999", "A888888"),
        },
    )


def _days(draw: random.Random, rows: int, first: dt.date, last: dt.date) -> list[str]:
    span = (last - first).days
    return [(first + dt.timedelta(days=draw.randrange(span))).isoformat() for _ in range(rows)]


def _phones(draw: random.Random, rows: int) -> list[str]:
    return [f"+1 555 {draw.randrange(1000):03d} {draw.randrange(10_000):04d}" for _ in range(rows)]


def _spoilt(frame: pl.DataFrame, draw: random.Random, damage: Mapping[str, Sequence[str | None]]) -> pl.DataFrame:
    """``frame`` with a bad value in about one row of fifty, never two in one row and never in the first."""
    rows = draw.sample(range(1, frame.height), k=min(frame.height - 1, max(len(damage), frame.height // 50)))
    names = list(damage)
    for place, name in enumerate(names):
        hit = sorted(rows[place :: len(names)])
        bad = pl.Series([draw.choice(damage[name]) for _ in hit], dtype=pl.String)
        frame = frame.with_columns(frame[name].scatter(hit, bad))
    return frame
