"""The clock of an org, set by those who use it: stamps, date literals, sessions, limits, jobs."""

from __future__ import annotations

import datetime as dt

import httpx
import polars as pl
import pytest

import sfframe as sf
from sfframe.localorg import Clock, LocalOrg, Settings

NOON = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)
DATA = "/services/data/v66.0"


def test_a_clock_stands_or_goes_and_can_be_put_forward_and_back() -> None:
    clock = Clock()
    assert abs(clock.now() - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    clock.set(NOON)
    assert [clock.now(), clock.now()] == [NOON, NOON]
    clock.advance(days=1, hours=-2, minutes=1, seconds=0.5)
    assert clock.now() == dt.datetime(2026, 3, 5, 10, 1, 0, 500_000, dt.UTC)
    clock.set(NOON, going=True)
    first = clock.now()
    assert NOON <= first <= clock.now() < NOON + dt.timedelta(minutes=1)
    clock.advance(hours=1)
    assert NOON + dt.timedelta(hours=1) < clock.now() < NOON + dt.timedelta(hours=1, minutes=1)
    clock.reset()
    assert abs(clock.now() - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_a_moment_without_zone_is_utc_and_others_are_turned_to_it() -> None:
    east = dt.timezone(dt.timedelta(hours=2))
    assert Clock(NOON.replace(tzinfo=None)).now() == Clock(NOON.astimezone(east)).now() == NOON
    assert Clock(NOON.astimezone(east)).now().tzinfo is dt.UTC


def test_stamps_literals_and_the_date_of_answers_go_by_the_clock() -> None:
    with LocalOrg(clock=Clock(NOON)) as local, sf.connect(local) as org:
        local.insert("Account", pl.DataFrame({"Name": ["first"]}))
        local.clock.advance(days=2)
        local.insert("Account", pl.DataFrame({"Name": ["second"]}))
        stamps = local.table("Account").select("Name", "CreatedDate", "SystemModstamp").rows()
        later = NOON + dt.timedelta(days=2)
        assert stamps == [("first", NOON, NOON), ("second", later, later)]
        today = sf.read_soql("SELECT Name FROM Account WHERE CreatedDate = TODAY", org=org)
        since = sf.read_soql("SELECT Name FROM Account WHERE SystemModstamp > 2026-03-05T00:00:00Z", org=org)
        assert today["Name"].to_list() == since["Name"].to_list() == ["second"]
        assert httpx.get(f"{local.url}/services/data").headers["Date"] == "Fri, 06 Mar 2026 12:00:00 GMT"
        assert local.table("Organization")["CreatedDate"].to_list() == [NOON]


@pytest.mark.parametrize(("hours", "status"), [(1.9, 200), (2.1, 401)])
def test_sessions_end_by_the_clock(hours: float, status: int) -> None:
    with LocalOrg(clock=Clock(NOON)) as local:
        known = local.credentials
        form = {"grant_type": "client_credentials", "client_id": known.client_id, "client_secret": known.client_secret}
        token = httpx.post(f"{local.url}/services/oauth2/token", data=form).json()
        assert token["issued_at"] == "1772625600000"
        local.clock.advance(hours=hours)
        answer = httpx.get(f"{local.url}{DATA}/limits", headers={"Authorization": f"Bearer {token['access_token']}"})
        assert answer.status_code == status


def test_a_day_later_the_calls_of_the_day_are_there_again() -> None:
    with LocalOrg(settings=Settings(daily_api_requests=1), clock=Clock(NOON)) as local:
        headers = {"Authorization": f"Bearer {local.credentials.access_token}"}
        statuses = [httpx.get(f"{local.url}{DATA}/limits", headers=headers).status_code for _ in range(2)]
        local.clock.advance(days=1)
        again = httpx.get(f"{local.url}{DATA}/limits", headers=headers)
        assert [*statuses, again.status_code] == [200, 403, 200]
        assert again.headers["Sforce-Limit-Info"] == "api-usage=1/1"
