"""The transport against a real server: repeats, broken bodies, compression, uploads, and silence about secrets."""

import gzip
import logging
import pickle
import threading

import pytest

from sfframe.backoff import Backoff
from sfframe.connection.transport import Transport
from sfframe.errors import Cancelled, ConnectionFailed, UsageError
from sfframe.protocol.call import Call, read_bytes
from tests.connection.scripted_server import Answer, answer_json, serving

HEADERS = {"authorization": "Bearer 00Dsecret!token"}


class Waits:
    """Remembers how long it was asked to wait, and does not."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float, cancel: threading.Event | None) -> None:
        assert cancel is None or not cancel.is_set()
        self.seconds.append(seconds)


def get(*, repeatable: bool = True, method: str = "GET", body=None) -> Call[bytes]:
    return Call(method, "things", read_bytes, repeatable=repeatable, body=body)  # type: ignore[arg-type]


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def transport(waits):
    made = Transport(wait=waits, jitter=lambda: 0.0, direct=True, backoff=Backoff(attempts=4, first=1.0))
    yield made
    made.close()


def send(transport, server, call=None, **options):
    return transport.send(call or get(), f"{server.url}/things", HEADERS, **options)


def test_an_answer_comes_with_lower_case_header_names(transport):
    with serving(Answer(200, {"Sforce-Limit-Info": "api-usage=1/2"}, b"hello")) as server:
        reply = send(transport, server)
        assert (reply.status, reply.body, reply.headers["sforce-limit-info"]) == (200, b"hello", "api-usage=1/2")
        assert server.seen[0].headers["accept-encoding"] == "gzip"
        assert server.seen[0].headers["authorization"] == HEADERS["authorization"]
        assert transport.requests == 1


def test_a_busy_org_is_asked_again_with_growing_pauses(transport, waits):
    with serving(Answer(503), Answer(429), Answer(500), Answer(200, body=b"ok")) as server:
        assert send(transport, server).body == b"ok"
        assert (waits.seconds, len(server.seen)) == ([0.5, 1.0, 2.0], 4)


def test_an_org_that_stays_busy_gives_its_last_answer(transport, waits):
    with serving(Answer(503, body=b"<title>Maintenance</title>")) as server:
        assert (send(transport, server).status, len(server.seen)) == (503, 4)


def test_what_may_not_be_sent_twice_is_not(transport, waits):
    with serving(Answer(503), Answer(200)) as server:
        assert send(transport, server, get(repeatable=False)).status == 503
    with serving(Answer(raw=b"")) as server, pytest.raises(ConnectionFailed) as caught:
        send(transport, server, get(repeatable=False, method="PUT"))
    assert (len(server.seen), caught.value.sent, waits.seconds) == (1, True, [])


def test_a_transient_code_is_repeated_whatever_its_status(transport, waits):
    busy = answer_json([{"errorCode": "TXN_SECURITY_METERING_ERROR", "message": "too long"}], 400)
    with serving(busy, Answer(200, body=b"ok")) as server:
        assert send(transport, server).body == b"ok"


def test_a_lasting_error_is_not_repeated(transport, waits):
    with serving(answer_json([{"errorCode": "MALFORMED_QUERY", "message": "x"}], 400)) as server:
        assert send(transport, server).status == 400
        assert (waits.seconds, len(server.seen)) == ([], 1)


def test_retry_after_in_seconds_is_honoured(transport, waits):
    with serving(Answer(429, {"Retry-After": "17"}), Answer(200)) as server:
        send(transport, server)
    assert waits.seconds == [17.0]


def test_retry_after_as_a_date_is_compared_with_the_answers_own_date(transport, waits):
    dates = {"Date": "Wed, 04 Mar 2026 05:06:07 GMT", "Retry-After": "Wed, 04 Mar 2026 05:06:27 GMT"}
    with serving(Answer(503, dates), Answer(200)) as server:
        send(transport, server)
    assert waits.seconds == [20.0]


def test_an_org_that_asks_for_hours_is_not_waited_for(transport, waits):
    with serving(Answer(503, {"Retry-After": "7200"})) as server:
        assert send(transport, server).status == 503
    assert waits.seconds == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_breaks_off_is_fetched_again(transport, waits, chunked):
    whole = Answer(200, body=b"x" * 100, chunked=chunked)
    with serving(Answer(200, body=b"x" * 100, chunked=chunked, cut=40), whole) as server:
        assert send(transport, server).body == b"x" * 100
        assert len(server.seen) == 2


def test_a_gzip_body_is_unpacked_also_when_it_has_several_members(transport):
    packed = gzip.compress(b"one,") + gzip.compress(b"two")
    with serving(Answer(200, {"Content-Encoding": "gzip"}, packed, chunked=True)) as server:
        assert send(transport, server).body == b"one,two"


def test_a_gzip_body_that_ends_too_early_is_noticed_even_when_the_http_body_is_whole(transport):
    packed = gzip.compress(bytes(range(256)) * 100)
    with serving(Answer(200, {"Content-Encoding": "gzip"}, packed[:-20])) as server:
        with pytest.raises(ConnectionFailed, match="was lost"):
            send(transport, server)
        assert len(server.seen) == 4


def test_a_damaged_gzip_body_is_an_error_of_the_connection(transport):
    damaged = Answer(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08\x00not gzip at all")
    with serving(damaged) as server, pytest.raises(ConnectionFailed, match="damaged"):
        send(transport, server)


def test_a_stream_gives_pieces_and_a_broken_one_raises_where_it_breaks(transport):
    with (
        serving(Answer(200, {"Sforce-Locator": "null"}, b"a" * 200_000)) as server,
        transport.stream(get(), f"{server.url}/things", HEADERS) as got,
    ):
        pieces = list(got.chunks())
        assert (b"".join(pieces), got.status, got.headers["sforce-locator"]) == (b"a" * 200_000, 200, "null")
    with (
        serving(Answer(200, body=b"a" * 200_000, cut=150_000)) as server,
        transport.stream(get(), f"{server.url}/things", HEADERS) as got,
        pytest.raises(ConnectionFailed),
    ):
        list(got.chunks())
    assert len(server.seen) == 1


def test_the_beginning_of_a_stream_is_repeated_and_an_error_comes_with_its_body(transport, waits):
    refused = answer_json([{"errorCode": "NOT_FOUND", "message": "x"}], 404)
    with (
        serving(Answer(503), refused) as server,
        transport.stream(get(), f"{server.url}/things", HEADERS) as got,
    ):
        assert (got.status, b"NOT_FOUND" in b"".join(got.chunks()), waits.seconds) == (404, True, [0.5])


def test_a_file_is_uploaded_in_pieces_with_its_length(transport, tmp_path):
    file = tmp_path / "part.csv"
    file.write_bytes(b"Name\n" + b"x" * 700_000)
    with serving(Answer(201)) as server:
        assert send(transport, server, get(method="PUT", body=file, repeatable=False)).status == 201
        sent = server.seen[0]
        assert sent.headers["content-length"] == "700005"
        assert "transfer-encoding" not in sent.headers
        assert sent.body == file.read_bytes()


def test_a_repeated_upload_sends_the_file_from_its_beginning(transport, tmp_path):
    file = tmp_path / "part.csv"
    file.write_bytes(b"Name\nx\n")
    with serving(Answer(503), Answer(201)) as server:
        send(transport, server, get(method="PUT", body=file))
        assert [one.body for one in server.seen] == [b"Name\nx\n", b"Name\nx\n"]


def test_a_host_that_does_not_listen_is_named_with_what_to_do(transport, waits):
    with serving(Answer()) as server:
        url = server.url
    with pytest.raises(ConnectionFailed) as caught:
        transport.send(get(repeatable=False), f"{url}/things", HEADERS)
    assert caught.value.what.startswith(f"{url.removeprefix('http://')} cannot be reached")
    assert (caught.value.where, caught.value.remedy) == ("GET things", "Check the instance URL and the network.")
    # nothing was sent, so even what is not repeatable was tried again
    assert (caught.value.sent, len(waits.seconds)) == (False, 3)


def test_a_cancel_ends_the_waiting_for_another_try():
    cancel = threading.Event()

    class CancelledMeanwhile(Waits):
        def __call__(self, seconds: float, cancel: threading.Event | None) -> None:
            super().__call__(seconds, cancel)
            assert cancel is not None
            cancel.set()

    impatient = Transport(wait=CancelledMeanwhile(), direct=True)
    with serving(Answer(503)) as server, pytest.raises(Cancelled):
        send(impatient, server, cancel=cancel)
    impatient.close()
    assert len(server.seen) == 1


def test_a_cancel_stops_an_upload_between_two_pieces(transport, tmp_path):
    file = tmp_path / "part.csv"
    file.write_bytes(b"x" * 3_000_000)

    class SetAfterTheFirstLooks(threading.Event):
        looks = 0

        def is_set(self) -> bool:
            self.looks += 1
            return self.looks > 3

    with serving(Answer(201)) as server:
        with pytest.raises(Cancelled):
            send(transport, server, get(method="PUT", body=file), cancel=SetAfterTheFirstLooks())
        assert server.seen == []


def test_cookies_are_neither_kept_nor_sent(transport):
    with serving(Answer(200, {"Set-Cookie": "sid=00Dsecret; Path=/"})) as server:
        send(transport, server)
        send(transport, server)
        assert "cookie" not in server.seen[1].headers


def test_connections_are_used_again(transport):
    with serving(Answer(200, body=b"x")) as server:
        for _ in range(5):
            send(transport, server)
        assert len(server._threads) == 2  # one that accepts, one connection


def test_the_proxy_of_the_environment_is_used_with_its_login(waits, monkeypatch):
    with serving(Answer(200, body=b"by way of it")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://me:p%40ss@"))
        transport = Transport(wait=waits)
        assert transport.send(get(), "http://org.example/things", HEADERS).body == b"by way of it"
        transport.close()
    assert proxy.seen[0].target == "http://org.example/things"
    assert proxy.seen[0].headers["proxy-authorization"] == "Basic bWU6cEBzcw=="
    assert proxy.seen[0].headers["host"] == "org.example"


@pytest.mark.parametrize("named", ["127.0.0.1:1", "socks9://127.0.0.1:1"])
def test_a_proxy_that_does_not_work_is_told_and_one_that_is_not_meant_is_not_asked(waits, monkeypatch, named):
    monkeypatch.setenv("all_proxy", named)
    transport = Transport(wait=waits)
    with pytest.raises(ConnectionFailed, match=r"the proxy refuses the way to org\.example") as told:
        transport.send(get(repeatable=False), "http://org.example/things", HEADERS)
    assert (told.value.remedy, told.value.sent) == ("Check HTTPS_PROXY and NO_PROXY.", False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Answer(200, body=b"straight")) as server:
        assert transport.send(get(), f"{server.url}/things", HEADERS).body == b"straight"
    transport.close()


def test_a_closed_transport_says_so(transport):
    transport.close()
    with pytest.raises(UsageError, match="closed"):
        transport.send(get(), "http://127.0.0.1:9/things", HEADERS)


def test_no_log_line_and_no_error_holds_the_token(transport, caplog):
    with caplog.at_level(logging.DEBUG), serving(Answer(raw=b"garbage\r\n\r\n")) as server:
        with pytest.raises(ConnectionFailed) as caught:
            send(transport, server)
        with pytest.raises(UsageError) as odd:
            transport.send(get(), f"{server.url}/things", {"authorization": "Bearer 00Dsecret!token\nx"})
    for text in (caplog.text, *(f"{one.value!r}{one.value}{one.value.__dict__}" for one in (caught, odd))):
        assert "00Dsecret" not in text
    assert "00Dsecret" not in repr(pickle.dumps(odd.value))


def test_errors_are_picklable(transport):
    with serving(Answer(raw=b"")) as server, pytest.raises(ConnectionFailed) as caught:
        send(transport, server)
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (str(again), again.__dict__) == (str(caught.value), caught.value.__dict__)
