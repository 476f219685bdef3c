"""The JSON Schema of what goes over a wire, the same for `stdio:` and `http:`: each request, and the answer to it."""

from __future__ import annotations

from typing import Any, Final

from pytest_keyconform.adapters.base import OPERATIONS
from pytest_keyconform.spec.pool import Pool
from pytest_keyconform.spec.wire import PROTOCOL, UNCARRIED, Hello, Mistake

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_KEYS: Final = {"type": "array", "items": {"type": "string"}}
_NOW: Final = {"type": "string", "format": "date-time", "description": "UTC, in microseconds"}
_PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "model": {"description": "null where none is named; anything else in a call that is to be refused"},
    "pool": {"enum": ["regular", "vertex"]},
    "lease": {"$ref": "#/$defs/lease"},
    "api_keys": _KEYS,
    "vertex_api_keys": _KEYS,
    "keys": _KEYS,
    "rows": {"type": "array", "items": {"type": "object"}},
    "settings": {"type": "object"},
    "outcome": {"enum": ["success", "quota", "auth", "transient", "request"]},
    "retry_after": {"description": "seconds that the provider asks for, or null"},
    "status": {"description": "the status that the provider answered, or null for a time-out"},
}
_COUNTER: Final = {"type": ["integer", "null"]}
_ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "hello": {"$ref": "#/$defs/Hello"},
    "open": {"type": "null"},
    "close": {},
    "clock": {"type": "null"},
    "acquire": {"anyOf": [{"type": ["string", "null"]}, {"$ref": "#/$defs/lease"}]},
    "usage": {
        "anyOf": [
            {"type": "null"},
            {"type": "object", "properties": {"rpm": _COUNTER, "tpm": _COUNTER, "rpd": _COUNTER}},
        ]
    },
    **{key: {"type": ["string", "null"]} for key in ("next_key", "random_key", "fail")},
    **{key: {"type": "boolean"} for key in ("record", "is_valid", "is_secret", "health")},
    **{key: {"type": "integer"} for key in ("failures", "advance_layer")},
    **{key: {"type": "object"} for key in ("status", "all_keys", "state", "bulk", "configure")},
}


def json_schema() -> dict[str, Any]:
    """Answer the schema: an object that is a request or an answer; ``$defs/ok`` has what each operation answers."""
    models = {kind.__name__: kind.model_json_schema(ref_template="#/$defs/{model}") for kind in (Hello, Mistake, Pool)}
    inner: dict[str, Any] = {}
    for model in models.values():
        inner |= model.pop("$defs", {})
    carried = [name for name in OPERATIONS if name not in UNCARRIED and name != "close"]
    requests = [
        _request("hello", {"protocol": {"const": PROTOCOL}}),
        _request("open", {"pool": {"$ref": "#/$defs/Pool"}, "now": _NOW}),
        _request("clock", {"now": _NOW}),
        _request("close", {}),
        *(_request(name, {one: _PARAMETERS.get(one, {}) for one in OPERATIONS[name]}, whole=False) for name in carried),
    ]
    return {
        "$schema": _DIALECT,
        "title": f"The wire protocol of keyconform, version {PROTOCOL}",
        "anyOf": [{"$ref": "#/$defs/request"}, {"$ref": "#/$defs/answer"}],
        "$defs": {
            **inner,
            **models,
            "lease": {
                "type": "object",
                "properties": {"key": {"type": "string"}, "handle": {}},
                "required": ["key"],
            },
            "ok": {name: _ANSWERS.get(name, {}) for name in ("hello", "open", "clock", "close", *carried)},
            "request": {"oneOf": requests},
            "answer": _answer(),
        },
    }


def _request(op: str, parameters: dict[str, Any], *, whole: bool = True) -> dict[str, Any]:
    """Describe a request; of one that is not ``whole`` each backend gets the parameters it claims."""
    return {
        "title": op,
        "type": "object",
        "properties": {"seq": {"type": "integer", "minimum": 1}, "op": {"const": op}, **parameters},
        "required": ["seq", "op", *(parameters if whole else ())],
        "additionalProperties": False,
    }


def _answer() -> dict[str, Any]:
    ways: dict[str, dict[str, Any]] = {
        "ok": {"description": "what the operation answers, see $defs/ok"},
        "error": {"$ref": "#/$defs/Mistake"},
        "unsupported": {"const": True},
    }
    return {
        "oneOf": [
            {"type": "object", "properties": {"seq": {"type": "integer"}, name: way}, "required": ["seq", name]}
            for name, way in ways.items()
        ]
    }
