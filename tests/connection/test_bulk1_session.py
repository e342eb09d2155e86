"""Calls of Bulk API 1.0: their place, their header, and a session that ends with status 400 (bulk1.md 1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfframe.connection.login import AccessToken, ClientCredentials
from sfframe.connection.org import Org
from sfframe.errors import AuthenticationError
from sfframe.protocol import bulk1
from sfframe.protocol.bulk1 import BatchInfo
from tests.connection.scripted_server import Answer, Seen, answer_json, serving

JOB, BATCH = "750AB00000XyZ01YAF", "751AB00000XyZ02YAG"
XMLNS = 'xmlns="http://www.force.com/2009/06/asyncapi/dataload"'
ENDED = (
    f"<error {XMLNS}><exceptionCode>InvalidSessionId</exceptionCode>"
    "<exceptionMessage>Invalid session id</exceptionMessage></error>"
)


class AsyncOrg:
    """Gives a new token at each login; only the last one is good."""

    def __init__(self) -> None:
        self.logins = 0
        self.good = ""

    def __call__(self, seen: Seen) -> Answer:
        if seen.target == "/services/oauth2/token":
            self.logins += 1
            self.good = f"00Dsecret!{self.logins}"
            return answer_json({"access_token": self.good, "id": "https://x/id/00DAB0000000abc/005AB000000Xyza"})
        if seen.headers.get("x-sfdc-session") != self.good:
            return Answer(400, {"Content-Type": "application/xml"}, ENDED.encode())
        if seen.target.endswith("/result"):
            return Answer(200, {"Content-Type": "text/csv"}, b'"Id","Success","Created","Error"\n')
        body = f"<batchInfo {XMLNS}><id>{BATCH}</id><jobId>{JOB}</jobId><state>Queued</state></batchInfo>"
        return Answer(201, {"Content-Type": "application/xml"}, body.encode())


def test_the_token_goes_into_the_session_header_alone_and_the_version_has_no_v(tmp_path: Path) -> None:
    script = AsyncOrg()
    with serving(script=script) as server, Org(server.url, ClientCredentials("key", "hush")) as org:
        assert org.send(bulk1.add_batch(JOB, b"Name\nx\n")) == BatchInfo(BATCH, JOB, "Queued")
        seen = server.seen[-1]
        assert (seen.method, seen.target) == ("POST", f"/services/async/66.0/job/{JOB}/batch")
        assert (seen.headers["x-sfdc-session"], "authorization" in seen.headers) == ("00Dsecret!1", False)


def test_an_ended_session_is_renewed_and_a_batch_that_was_refused_with_it_goes_out_whole(tmp_path: Path) -> None:
    script, file = AsyncOrg(), tmp_path / "part.csv"
    file.write_bytes(b"Name\nx\n")
    with serving(script=script) as server, Org(server.url, ClientCredentials("key", "hush")) as org:
        org.send(bulk1.batch(JOB, BATCH))
        script.good = ""
        assert org.send(bulk1.add_batch(JOB, file)).id == BATCH
        assert [one.body for one in server.seen if one.method == "POST" and one.target.endswith("/batch")] == [
            b"Name\nx\n",
            b"Name\nx\n",
        ]
        script.good = ""
        with org.stream(bulk1.batch_result(JOB, BATCH)) as got:
            assert b"".join(got.chunks()) == b'"Id","Success","Created","Error"\n'
        assert script.logins == 3


def test_a_session_that_cannot_be_renewed_says_what_to_do() -> None:
    with (
        serving(script=AsyncOrg()) as server,
        Org(server.url, AccessToken("00Dold!token")) as org,
        pytest.raises(AuthenticationError) as caught,
    ):
        org.send(bulk1.info(JOB))
    assert caught.value.error_code == "InvalidSessionId"
    assert caught.value.remedy == "Get a new access token, or check the client id and secret of this profile."
    assert "00Dold" not in f"{caught.value!r}{caught.value}{caught.value.__dict__}"
