"""What pages would look like: tabs, apps, theme, list views, layouts, actions. This org has none, in true shapes.

The shapes are from memory; rest.md names the resources only.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg.catalogue.describe import MASTER_RECORD_TYPE, record_type_infos
from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.routes.answers import JsonAnswer, base_of, host_of, services_of
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.store.record_ids import id18

_BASE = "/services/data/{version}"
_OBJECT = f"{_BASE}/sobjects/{{name}}"


def tabs(request: Request) -> Response:
    """GET /tabs: one for each object with a page layout and recently viewed records."""
    host = host_of(request)
    return JsonAnswer(
        [
            {
                "colors": [],
                "custom": obj.custom,
                "iconUrl": None,
                "icons": [],
                "label": obj.label_plural,
                "miniIconUrl": None,
                "name": obj.name if obj.custom else f"standard-{obj.name}",
                "sobjectName": obj.name,
                "url": f"{host}/{obj.key_prefix}/o",
            }
            for obj in _with_pages(request)
        ]
    )


def theme(request: Request) -> Response:
    """GET /theme: the objects, without icons and colours."""
    return JsonAnswer({"themeItems": [{"colors": [], "icons": [], "name": obj.name} for obj in _with_pages(request)]})


def apps(request: Request) -> Response:
    """GET /appMenu: the two menus."""
    base = f"{base_of(request)}/appMenu"
    return JsonAnswer({"appSwitcher": f"{base}/AppSwitcher", "salesforce1": f"{base}/Salesforce1"})


def app_menu(_request: Request) -> Response:
    """GET /appMenu/AppSwitcher or Salesforce1: nothing on it."""
    return JsonAnswer({"appMenuItems": []})


def actions(request: Request) -> Response:
    """GET /actions: the two lists."""
    base = f"{base_of(request)}/actions"
    return JsonAnswer({"standard": f"{base}/standard", "custom": f"{base}/custom"})


def standard_actions(_request: Request) -> Response:
    """GET /actions/standard: none can be invoked here."""
    return JsonAnswer({"actions": []})


def custom_actions(_request: Request) -> Response:
    """GET /actions/custom: no kind of them is here."""
    return JsonAnswer({})


def global_actions(_request: Request) -> Response:
    """GET /quickActions: none was ever made."""
    return JsonAnswer([])


def list_views(request: Request) -> Response:
    """GET /sobjects/X/listviews: none was ever made."""
    obj = _object(request)
    return JsonAnswer(
        {"done": True, "listviews": [], "nextRecordsUrl": None, "size": 0, "sobjectType": obj.name},
    )


def layouts(request: Request) -> Response:
    """GET /sobjects/X/describe/layouts: one that is empty, for every record type."""
    obj = _object(request)
    found = services_of(request).describes.record_types(obj)
    infos = record_type_infos(obj, base_of(request), found)
    mappings = [dict(sorted((info | {"layoutId": None, "picklistsForRecordType": []}).items())) for info in infos]
    return JsonAnswer({"layouts": [], "recordTypeMappings": mappings, "recordTypeSelectorRequired": [bool(found)]})


def layout(request: Request) -> Response:
    """GET /sobjects/X/describe/layouts/{record type}: a layout with nothing on it."""
    obj, wanted = _object(request), id18(request.path_params["record_type"])
    known = {row.id for row in services_of(request).describes.record_types(obj)}
    if wanted not in {MASTER_RECORD_TYPE, *known}:
        raise ServiceError(404, "NOT_FOUND", "The requested resource does not exist")
    return JsonAnswer(
        {
            "buttonLayoutSection": None,
            "detailLayoutSections": [],
            "editLayoutSections": [],
            "feedView": None,
            "highlightsPanelLayoutSection": None,
            "id": None,
            "multirowEditLayoutSections": [],
            "offlineLinks": [],
            "quickActionList": None,
            "relatedContent": None,
            "relatedLists": [],
            "saveOptions": [],
        }
    )


def compact_layouts(request: Request) -> Response:
    """GET /sobjects/X/describe/compactLayouts: the system's own is used throughout."""
    obj = _object(request)
    mappings = [
        {
            "available": info["available"],
            "compactLayoutId": None,
            "compactLayoutName": "SYSTEM",
            "recordTypeId": info["recordTypeId"],
            "recordTypeName": info["name"],
            "urls": {"compactLayout": None, "sobject": f"{base_of(request)}/sobjects/{obj.name}"},
        }
        for info in record_type_infos(obj, base_of(request), services_of(request).describes.record_types(obj))
    ]
    return JsonAnswer(
        {"compactLayouts": [], "defaultCompactLayoutId": None, "recordTypeCompactLayoutMappings": mappings}
    )


def approval_layouts(request: Request) -> Response:
    """GET /sobjects/X/describe/approvalLayouts: nothing is approved here."""
    _object(request)
    return JsonAnswer({"approvalLayouts": []})


def quick_actions(request: Request) -> Response:
    """GET /sobjects/X/quickActions: none was ever made."""
    _object(request)
    return JsonAnswer([])


def _object(request: Request) -> ObjectDef:
    obj = services_of(request).store.catalogue.find(request.path_params["name"])
    if obj is None or not obj.layoutable:
        raise ServiceError(404, "NOT_FOUND", "The requested resource does not exist")
    return obj


def _with_pages(request: Request) -> list[ObjectDef]:
    objects = services_of(request).store.catalogue.objects.values()
    return [obj for obj in objects if obj.layoutable and obj.mru_enabled]


routes = [
    Route(f"{_BASE}/tabs", tabs, methods=["GET"]),
    Route(f"{_BASE}/theme", theme, methods=["GET"]),
    Route(f"{_BASE}/appMenu", apps, methods=["GET"]),
    Route(f"{_BASE}/appMenu/AppSwitcher", app_menu, methods=["GET"]),
    Route(f"{_BASE}/appMenu/Salesforce1", app_menu, methods=["GET"]),
    Route(f"{_BASE}/actions", actions, methods=["GET"]),
    Route(f"{_BASE}/actions/standard", standard_actions, methods=["GET"]),
    Route(f"{_BASE}/actions/custom", custom_actions, methods=["GET"]),
    Route(f"{_BASE}/quickActions", global_actions, methods=["GET"]),
    Route(f"{_OBJECT}/listviews", list_views, methods=["GET"]),
    Route(f"{_OBJECT}/quickActions", quick_actions, methods=["GET"]),
    Route(f"{_OBJECT}/describe/layouts", layouts, methods=["GET"]),
    Route(f"{_OBJECT}/describe/layouts/{{record_type}}", layout, methods=["GET"]),
    Route(f"{_OBJECT}/describe/compactLayouts", compact_layouts, methods=["GET"]),
    Route(f"{_OBJECT}/describe/approvalLayouts", approval_layouts, methods=["GET"]),
]
