"""Error answers of every shape become the right class, with four parts and without secrets."""

import pickle

import pytest

from sfframe import errors
from sfframe.protocol import bulk2_ingest, query
from sfframe.protocol.call import Call, Reply, read_nothing
from sfframe.protocol.error_body import answer, error_for, read_problem

TOKEN = "00DAB0000000abcMAA!AQcAQH0dMHZfz972Szmpkb58urFRkgeBGsxL_QJWwYMfAbUeeG7c1E6LYUfiDUkWe6H34r1AAwOR8B8fLEz6n"
CALL = Call("GET", "sobjects/Nope/describe", read_nothing, repeatable=True)


def error_of(status: int, body: str, call: Call[object] = CALL) -> errors.ApiError:
    return error_for(call, Reply(status, {}, body.encode()))


def test_an_array_of_one_object_gives_code_message_and_fields():
    body = (
        '[{"message":"Required fields are missing: [LastName]","errorCode":"REQUIRED_FIELD_MISSING",'
        '"fields":["LastName"]}]'
    )
    found = error_of(400, body)
    assert (type(found), found.status, found.error_code, found.fields) == (
        errors.ApiError,
        400,
        "REQUIRED_FIELD_MISSING",
        ("LastName",),
    )
    assert str(found) == (
        "GET sobjects/Nope/describe: the request was refused (HTTP 400)\n"
        "The org said: REQUIRED_FIELD_MISSING: Required fields are missing: [LastName]\n"
        "Fill the named fields; the object requires them."
    )


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "INVALID_SESSION_ID", errors.AuthenticationError),
        (401, "INVALID_OPERATION_WITH_EXPIRED_PASSWORD", errors.AuthenticationError),
        (403, "REQUEST_LIMIT_EXCEEDED", errors.LimitExceeded),
        (403, "API_DISABLED_FOR_ORG", errors.PermissionDenied),
        (400, "FEATURENOTENABLED", errors.PermissionDenied),
        (404, "NOT_FOUND", errors.NotFound),
        (400, "MALFORMED_QUERY", errors.QueryError),
        (400, "INVALID_QUERY_LOCATOR", errors.QueryError),
        (400, "INVALIDJOBSTATE", errors.ApiError),
        (429, "", errors.LimitExceeded),
        (503, "SERVER_UNAVAILABLE", errors.ServerUnavailable),
        (500, "UNKNOWN_EXCEPTION", errors.ServerUnavailable),
        (420, "", errors.ServerUnavailable),
        (400, "InvalidSessionId", errors.AuthenticationError),
        (400, "InvalidUser", errors.PermissionDenied),
        (400, "FeatureNotEnabled", errors.PermissionDenied),
        (400, "ExceededQuota", errors.LimitExceeded),
        (400, "InvalidJob", errors.ApiError),
    ],
)
def test_the_class_follows_the_code_and_then_the_status(status, code, expected):
    assert type(error_of(status, f'[{{"errorCode":"{code}","message":"text"}}]')) is expected


def test_the_job_is_named_in_where_and_kept_as_an_attribute():
    call = bulk2_ingest.close("750AB00000XyZ01YAF")
    found = error_of(
        400, '[{"errorCode":"INVALIDJOBSTATE","message":"Closing already Completed Job not allowed"}]', call
    )
    assert found.job_id == "750AB00000XyZ01YAF"
    assert found.where == "PATCH jobs/ingest/750AB00000XyZ01YAF"


def test_an_oauth_error_object_is_a_refused_login_whatever_its_status():
    found = error_of(400, '{"error":"invalid_grant","error_description":"no client credentials user enabled"}')
    assert type(found) is errors.AuthenticationError
    assert found.said == "invalid_grant: no client credentials user enabled"
    assert found.remedy == "In the app's settings, enable the client credentials flow and name a run-as user."


def test_too_many_logins_are_a_limit():
    found = error_of(400, '{"error":"rate_limit_exceeded","error_description":"login rate exceeded"}')
    assert type(found) is errors.LimitExceeded


def test_a_page_of_html_gives_its_words():
    body = "<head><title>Down for maintenance</title><style>p{}</style></head><body><p>We are&nbsp;busy</p></body>"
    found = error_of(503, body)
    assert type(found) is errors.ServerUnavailable
    assert found.said == "Down for maintenance: We are busy"


def test_an_xml_error_gives_its_code():
    code, text = "<exceptionCode>InvalidSessionId</exceptionCode>", "<exceptionMessage>a &amp; b</exceptionMessage>"
    body = f"<?xml version='1.0'?><error>{code}{text}</error>"
    assert error_of(400, body).said == "InvalidSessionId: a & b"


@pytest.mark.parametrize(
    ("code", "text"), [("InvalidJob", "Invalid job id: 1"), ("InvalidBatch", "Invalid batch id: 1")]
)
def test_an_id_that_bulk_1_does_not_know_is_not_found_although_its_status_is_400(code, text):
    found = error_of(400, f'{{"exceptionCode":"{code}","exceptionMessage":"{text}"}}')
    assert (type(found), found.error_code, found.said) == (errors.NotFound, code, f"{code}: {text}")


def test_a_version_that_bulk_1_does_not_serve_names_the_remedy():
    found = error_of(400, '{"exceptionCode":"InvalidVersion","exceptionMessage":"Invalid version: 20.0"}')
    assert found.remedy == "Connect with another api_version that this org serves."


@pytest.mark.parametrize("body", ["", "[]", "{}", "[", '["x"]', "null", "\x00\xff"])
def test_a_body_that_says_nothing_is_still_an_error(body):
    found = error_of(502, body)
    assert (type(found), found.error_code) == (errors.ServerUnavailable, "")


# Every code of the tables in rest.md 12, bulk2.md 6.1 and 6.3, bulk1.md 8, each with the status that it comes with.
CODES = {
    400: (
        "API_ERROR ClientInputError DUPLICATE_VALUE DUPLICATES_DETECTED EXCEEDEDQUOTA EXCEEDED_ID_LIMIT "
        "EXCEEDED_MAX_SEMIJOIN_SUBSELECTS ExceededQuota FEATURENOTENABLED FIELD_CUSTOM_VALIDATION_EXCEPTION "
        "FIELD_INTEGRITY_EXCEPTION FeatureNotEnabled HttpsRequired INACTIVE_OWNER_OR_USER INVALIDENTITY INVALIDJOB "
        "INVALIDJOBSTATE INVALID_CROSS_REFERENCE_KEY INVALID_EMAIL_ADDRESS INVALID_FIELD INVALID_TYPE "
        "INVALID_FIELD_FOR_INSERT_UPDATE INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST INVALID_QUERY_FILTER_OPERATOR "
        "INVALID_QUERY_LOCATOR InternalServerError InvalidBatch InvalidEntity InvalidJob InvalidJobState "
        "InvalidOperation InvalidSessionId InvalidUrl InvalidUser InvalidVersion InvalidXml JSON_PARSER_ERROR "
        "LIMIT_EXCEEDED MALFORMED_ID MALFORMED_QUERY MALFORMED_SEARCH MISSING_ARGUMENT MIXED_DML_OPERATION "
        "NUMBER_OUTSIDE_VALID_RANGE PROCESSING_HALTED QUERY_TIMEOUT QUERY_TOO_COMPLICATED REQUIRED_FIELD_MISSING "
        "STORAGE_LIMIT_EXCEEDED STRING_TOO_LONG Timeout TooManyLockFailure UNABLE_TO_LOCK_ROW UNKNOWN_EXCEPTION "
        "Unknown UnsupportedContentType SOMETHING_NEW"
    ),
    401: "INVALID_SESSION_ID INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
    403: (
        "API_CURRENTLY_DISABLED API_DISABLED_FOR_ORG INSUFFICIENT_ACCESS INSUFFICIENT_ACCESS_OR_READONLY "
        "REQUEST_LIMIT_EXCEEDED TXN_SECURITY_METERING_ERROR TXN_SECURITY_NO_ACCESS"
    ),
    404: "NOT_FOUND ENTITY_IS_DELETED",
    405: "METHOD_NOT_ALLOWED",
    410: "UNSUPPORTED_API_VERSION GONE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    500: "UNKNOWN_EXCEPTION",
    503: "SERVER_UNAVAILABLE API_TEMPORARILY_UNAVAILABLE",
}


@pytest.mark.parametrize(
    ("status", "code"), [(status, code) for status, codes in CODES.items() for code in codes.split()]
)
def test_every_code_that_the_platform_documents_says_what_to_do_next(status, code):
    assert len(error_of(status, f'[{{"errorCode":"{code}","message":"text"}}]').remedy.split()) >= 4


@pytest.mark.parametrize(
    "status",
    [300, 301, 302, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 414, 415, 420, 428, 429, 431, 500, 502, 503],
)
def test_every_status_without_a_code_says_what_to_do_next(status):
    assert len(error_of(status, "").remedy.split()) >= 4


def test_remedies_say_what_the_code_means_and_not_only_its_class():
    told = {
        (400, "UNKNOWN_EXCEPTION"): "try again",
        (500, "UNKNOWN_EXCEPTION"): "error id",
        (400, "QUERY_TIMEOUT"): "Narrow the WHERE",
        (400, "InvalidEntity"): 'api="collections"',
        (400, "TooManyLockFailure"): "sort_by_parent",
        (400, "STRING_TOO_LONG"): "Shorten the text",
    }
    for (status, code), words in told.items():
        assert words in error_of(status, f'[{{"errorCode":"{code}","message":"text"}}]').remedy
    assert "Send less at once (LoadLimits(bytes_per_job" in error_of(413, "<h1>Request Entity Too Large</h1>").remedy
    assert "a proxy may have answered" in error_of(400, "<h1>Bad Request</h1>").remedy


def test_a_redirect_names_the_remedy_and_not_the_target():
    found = error_of(302, "")
    assert found.what == "the host sends the request elsewhere (HTTP 302)"


def test_an_external_id_that_several_records_have_is_no_redirect():
    found = error_of(300, '["/services/data/v66.0/sobjects/Account/001AB0000000001AAA"]')
    assert found.what == "the request was refused (HTTP 300)"
    assert found.remedy.startswith("Several records have this external id")


def test_a_token_in_an_answer_is_never_shown():
    said = f"Session {TOKEN} is invalid, sent Authorization: Bearer {TOKEN}"
    for body in (f'[{{"errorCode":"X","message":"{said}"}}]', said, f"<p>{said}</p>"):
        found = error_of(400, body)
        assert TOKEN not in f"{found!r}{found}{found.__dict__}"
        assert "AQcAQH0d" not in str(found)


def test_the_query_string_is_never_shown():
    call = query.query("SELECT Id FROM Contact WHERE Email = 'eve@example.com'")
    found = error_of(500, "", call)
    assert "eve" not in f"{found!r}{found}{found.__dict__}{call!r}"
    assert found.where == "GET query"


def test_the_errors_are_picklable_with_all_that_they_know():
    found = error_of(404, '[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]')
    again = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own bytes
    assert (type(again), str(again), again.__dict__) == (type(found), str(found), found.__dict__)


@pytest.mark.parametrize(
    ("status", "code", "message", "curable"),
    [
        (401, "INVALID_SESSION_ID", "Session expired or invalid", True),
        (401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API", False),
        (401, "INVALID_SESSION_ID", "Connected app is not attached to Agent", False),
        (401, "INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "Your password has expired.", False),
        (400, "INVALID_SESSION_ID", "Session expired or invalid", False),
        (400, "InvalidSessionId", "Invalid session id", True),
    ],
)
def test_a_new_token_is_asked_for_only_when_it_can_help(status, code, message, curable):
    reply = Reply(status, {}, f'[{{"message":"{message}","errorCode":"{code}"}}]'.encode())
    assert read_problem(reply).curable_by_login is curable


def test_a_good_status_with_a_foreign_body_is_an_error_that_says_so():
    with pytest.raises(errors.ApiError) as caught:
        answer(bulk2_ingest.info("750AB00000XyZ01YAF"), Reply(200, {}, b"<html><title>Log in</title></html>"))
    assert caught.value.what == "the answer cannot be understood: the answer is not JSON"
    assert caught.value.said == "Log in"
    assert caught.value.job_id == "750AB00000XyZ01YAF"


def test_a_good_status_with_an_error_array_is_an_error_in_the_orgs_words():
    with pytest.raises(errors.ApiError) as caught:
        answer(bulk2_ingest.info("750AB00000XyZ01YAF"), Reply(200, {}, b'[{"errorCode":"X","message":"y"}]'))
    assert caught.value.said == "X: y"
