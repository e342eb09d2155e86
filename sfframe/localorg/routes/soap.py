"""SOAP login and logout: partner (/u/) and enterprise (/c/) (rest.md 3)."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.routes.answers import host_of, services_of
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.versions import NEWEST, OLDEST
from sfframe.localorg.services.xml_body import RefusedXml, child, local_name, read_xml, text_of

NEWEST_LOGIN = 64  # rest.md 3, clients.md 2.16: login() is gone from 65.0 on
_KINDS = {"u": "partner", "c": "enterprise"}
_VERSION = re.compile(r"(\d{2})(?:\.0)?", re.ASCII)
_REFUSED = "Invalid username, password, security token; or user locked out."

Info = dict[str, "str | int | bool | None"]


class _Fault(Exception):
    """A SOAP fault. ``detail`` is the exception's type, for those that carry one."""

    def __init__(self, code: str, words: str, *, detail: str | None = None, sender: bool = False) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.detail = detail
        self.sender = sender


async def soap(request: Request) -> Response:
    """POST /services/Soap/{u|c}/NN.0[/org]: login and logout."""
    kind = _KINDS.get(request.path_params["kind"])
    if kind is None:
        raise ServiceError(404, "NOT_FOUND", "The requested resource does not exist")
    body = await request.body()
    try:
        whole = _envelope(f' xmlns="urn:{kind}.soap.sforce.com"', _answer(request, body, kind))
        return Response(whole, media_type="text/xml; charset=utf-8")
    except _Fault as fault:
        space = f' xmlns:sf="urn:fault.{kind}.soap.sforce.com"'
        return Response(_envelope(space, _fault(fault)), 500, media_type="text/xml; charset=utf-8")


def _answer(request: Request, body: bytes, kind: str) -> str:
    try:
        envelope = read_xml(body)
    except RefusedXml as refused:
        raise _Fault("Client", f"XML document cannot be read: {refused}", sender=True) from refused
    version = _version(request.path_params["version"])
    asked = next(iter(child(envelope, "Body") or ()), None)
    operation = "" if asked is None else local_name(asked)
    if operation == "logout":
        header = child(child(envelope, "Header"), "SessionHeader")
        return _logout(request, text_of(header, "sessionId"))
    if operation != "login" or version > NEWEST_LOGIN:
        words = f"No operation available for request {{urn:{kind}.soap.sforce.com}}{operation}"
        raise _Fault("Client", f"{words}, please check the WSDL for the service.", sender=True)
    scope = child(child(envelope, "Header"), "LoginScopeHeader")
    return _login(request, text_of(asked, "username"), text_of(asked, "password"), text_of(scope, "organizationId"))


def _version(text: str) -> int:
    """The API version of the path; a retired or unknown one is a fault (the words are a guess)."""
    found = _VERSION.fullmatch(text)
    number = int(found[1]) if found else 0
    if not OLDEST <= number <= NEWEST:
        raise _Fault("UNSUPPORTED_API_VERSION", "Unsupported API version", detail="UnexpectedErrorFault")
    return number


def _login(request: Request, username: str, password: str, organization: str) -> str:
    """The answer to a login. An organization of the scope header must be this one; any other knows no such user."""
    services = services_of(request)
    org_id = services.store.org_id
    here = organization.strip() in {"", org_id, org_id[:15]}
    if not here or not services.sessions.knows_user(username.strip(), password):
        raise _Fault("INVALID_LOGIN", _REFUSED, detail="LoginFault")
    host, version, kind = host_of(request), request.path_params["version"], request.path_params["kind"]
    info = services.identity.soap_info()
    result: Info = {
        "metadataServerUrl": f"{host}/services/Soap/m/{version}/{org_id[:15]}",
        "passwordExpired": False,
        "sandbox": services.settings.sandbox,
        "serverUrl": f"{host}/services/Soap/{kind}/{version}/{org_id[:15]}",
        "sessionId": services.sessions.open_session(),
        "userId": services.store.user_id,
    }
    return f"<loginResponse><result>{_elements(result)}<userInfo>{_elements(info)}</userInfo></result></loginResponse>"


def _logout(request: Request, token: str) -> str:
    if not services_of(request).sessions.close_session(token.strip()):
        words = "Invalid Session ID found in SessionHeader: Illegal Session"
        raise _Fault("INVALID_SESSION_ID", words, detail="UnexpectedErrorFault")
    return "<logoutResponse/>"


def _elements(values: Info) -> str:
    return "".join(f"<{name}{_content(name, value)}" for name, value in values.items())


def _content(name: str, value: str | int | bool | None) -> str:
    if value is None:
        return ' xsi:nil="true"/>'
    text = str(value).lower() if isinstance(value, bool) else escape(str(value))
    return f">{text}</{name}>"


def _envelope(spaces: str, body: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"{spaces}'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )


def _fault(fault: _Fault) -> str:
    """The prefix ``sf:`` is part of what clients look for (rest.md 3)."""
    words, place = escape(fault.words), "soapenv" if fault.sender else "sf"
    shown = words if fault.sender else f"{fault.code}: {words}"
    detail = ""
    if fault.detail:
        inside = f"<sf:exceptionCode>{fault.code}</sf:exceptionCode><sf:exceptionMessage>{words}</sf:exceptionMessage>"
        detail = f'<detail><sf:{fault.detail} xsi:type="sf:{fault.detail}">{inside}</sf:{fault.detail}></detail>'
    code = f"<faultcode>{place}:{fault.code}</faultcode><faultstring>{shown}</faultstring>"
    return f"<soapenv:Fault>{code}{detail}</soapenv:Fault>"


routes = [
    Route("/services/Soap/{kind}/{version}", soap, methods=["POST"]),
    Route("/services/Soap/{kind}/{version}/{org}", soap, methods=["POST"]),
]
