"""Limits, and the header that counts the calls."""

import pytest

from sfframe.protocol.call import Reply
from sfframe.protocol.limits import ApiUsage, Limit, limits, read_api_usage


def test_limits_are_read_by_name_and_nested_ones_by_their_own_numbers():
    body = (
        b'{"DailyApiRequests":{"Max":15000,"Remaining":14998},'
        b'"PermissionSets":{"Max":1500,"Remaining":1499,"CreateCustom":{"Max":1000,"Remaining":999}}}'
    )
    found = limits().read(Reply(200, {}, body))
    assert found == {"DailyApiRequests": Limit(15000, 14998), "PermissionSets": Limit(1500, 1499)}
    assert found["DailyApiRequests"].used == 2


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("api-usage=10018/100000", ApiUsage(10018, 100000)),
        ("api-usage=25/5000; per-app-api-usage=17/250(appName=sample-app)", ApiUsage(25, 5000)),
        ("per-app-api-usage=17/250(appName=sample-app)", None),
        ("", None),
    ],
)
def test_the_usage_header_is_read(header, expected):
    assert read_api_usage({"sforce-limit-info": header}) == expected
