"""The reference as a service: keys for who has the token, for the model that the request names, and no 5xx."""

from __future__ import annotations

import asyncio
import itertools
import json

import httpx
import pytest

from keyconform_reference import KeyManager, Limits
from keyconform_reference.errors import ConfigurationError
from keyconform_reference.running import main
from keyconform_reference.service import create_app
from keyconform_reference.spoken import Spoken
from keyconform_reference.stores import store_at

TOKEN = "the token"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
KEYS = [f"regular-key-{number}-{'x' * 30}" for number in range(2)]
VERTEX = [f"vertex-key-{number}-{'x' * 30}" for number in range(2)]
PROTECTED = [
    ("POST", "/v1/keys"),
    ("POST", "/vertex/v1/keys"),
    ("POST", "/v1/usage"),
    ("POST", "/v1/failures"),
    ("GET", "/v1/keys/status"),
    ("GET", "/v1/keys/state"),
    ("POST", "/v1/keys/reset"),
    ("POST", "/v1/keys/reactivate"),
]


def asked(*requests, spoken=None):
    """Answer the responses of a service to requests: a method, a path, a body, headers."""
    manager = KeyManager(KEYS, VERTEX, limits={"m1": Limits(rpm=1), "m2": Limits()}, default_model="m1")
    app = create_app(manager, token=TOKEN, spoken=spoken)

    async def run():
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return [await client.request(method, path, **more) for method, path, more in requests]

    return asyncio.run(run())


def post(path, body, headers=RIGHT):
    content = body if isinstance(body, bytes) else json.dumps(body)
    return "POST", path, {"content": content, "headers": {"Content-Type": "application/json", **headers}}


def get(path, headers=RIGHT):
    return "GET", path, {"headers": headers}


def test_a_key_is_for_the_model_that_is_named():
    """One that is spent for a model is not served for it, and is for another (000-17, 000-18, 000-30)."""
    spent = [post("/v1/usage", {"key": key, "model": "m1", "tokens": 5}) for key in KEYS]
    chat = {"model": "m2", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    *recorded, none, other, default, vertex = asked(
        *spent,
        post("/v1/keys", {"model": "m1"}),
        post("/v1/keys", chat),
        post("/v1/keys", {}),
        post("/vertex/v1/keys", {"model": "m1"}),
    )
    assert [one.json() for one in recorded] == [{"recorded": True}] * 2
    assert (none.status_code, default.status_code) == (429, 429)
    assert other.json()["key"] in KEYS
    assert vertex.json()["key"] in VERTEX


def test_a_failure_is_answered_with_another_key():
    """The key that was refused is out until it is reset."""
    refused = {"key": KEYS[0], "model": "m1", "status": 401}
    replaced, status, reset, again, _ = asked(
        post("/v1/failures", refused),
        get("/v1/keys/status"),
        post("/v1/keys/reset", {"key": KEYS[0]}),
        get("/v1/keys/status"),
        post("/v1/keys/reactivate", {"key": KEYS[0], "model": "m1"}),
    )
    assert replaced.json() == {"key": KEYS[1], "pool": "regular"}
    assert list(status.json()["invalid_keys"]) == [KEYS[0]]
    assert reset.json() == {"reset": True}
    assert again.json()["invalid_keys"] == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer "},
        {"Authorization": b"Bearer \xff\xfe"},
    ],
)
def test_nobody_without_the_token_gets_a_key_or_a_status(headers):
    """Every route but health answers 401, whatever the body, and shows no key."""
    body = {"key": KEYS[0], "model": "m1"}
    requests = [post(path, body, headers) if method == "POST" else get(path, headers) for method, path in PROTECTED]
    *answers, health = asked(*requests, get("/health", headers))
    assert {one.status_code for one in answers} == {401}
    assert health.json() == {"healthy": True}
    assert not any(key in one.text for one in (*answers, health) for key in (*KEYS, *VERTEX))


def test_every_route_of_the_description_is_protected_but_health():
    """What OpenAPI describes is what the tests above try, and no other."""
    (description,) = asked(get("/openapi.json", {}))
    paths = description.json()["paths"]
    found = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert found == {*PROTECTED, ("GET", "/health")}
    assert all("401" in paths[path][method.lower()]["responses"] for method, path in PROTECTED)


HOSTILE = [None, True, -1, 10**30, 1.5, "", "x" * 100_000, "\ud800", "\0", [], {}, [[]], {"$ne": 1}, float("nan")]


@pytest.mark.parametrize("path", [path for method, path in PROTECTED if method == "POST"])
def test_hostile_input_is_never_an_error_of_the_service(path):
    """Any value in any field, no JSON at all, and deep nesting are refused as the caller's fault."""
    fields = ("key", "model", "pool", "tokens", "retries", "status", "retry_after", "error", "error_type", "strange")
    bodies = [{"key": KEYS[0], field: value} for field, value in itertools.product(fields, HOSTILE)]
    bodies += [{"key": value} for value in HOSTILE]
    bodies += [*HOSTILE, b"", b"{", b"\xff", b"[" * 100_000, b'{"key": ' + b"9" * 10_000 + b"}"]
    answers = asked(*(post(path, body) for body in bodies))
    wrong = [(body, one.status_code) for body, one in zip(bodies, answers, strict=True) if one.status_code >= 500]
    assert not wrong
    refused = [one for one in answers if one.status_code == 422]
    assert not any(key in one.text for one in refused for key in KEYS), "what was sent is not sent back"


def test_a_service_without_a_token_is_refused():
    """An empty token would let everybody in."""
    with pytest.raises(ValueError, match="expected a token"):
        create_app(KeyManager(), token="")


def test_the_protocol_is_there_only_where_it_is_asked_for():
    """Nobody can put another pool in the place of the served one; what judges has managers of its own."""
    hello = post("/keyconform/v1", {"seq": 1, "op": "hello"}, {})
    (without,) = asked(hello)
    assert without.status_code == 404
    opened = {"seq": 2, "op": "open", "pool": {"api_keys": ["other"]}, "now": "2026-03-01T12:00:00Z"}
    acquire = {"seq": 3, "op": "acquire", "model": "m", "pool": "regular"}
    greeted, _, acquired, bad, served = asked(
        hello,
        post("/keyconform/v1", opened, {}),
        post("/keyconform/v1", acquire, {}),
        post("/keyconform/v1", b"{", {}),
        post("/v1/keys", {"model": "m2"}),
        spoken=Spoken(),
    )
    assert greeted.json()["ok"]["protocol"] == 1
    assert acquired.json() == {"seq": 3, "ok": "other"}
    assert bad.status_code == 400
    assert served.json()["key"] in KEYS


@pytest.mark.parametrize(
    "request_",
    [
        None,
        {"seq": "1", "op": "hello"},
        {"seq": 1, "op": "acquire"},
        {"seq": 1, "op": "__init__"},
        {"seq": 1, "op": "open", "pool": 3, "now": "2026-03-01T12:00:00Z"},
        {"seq": 1, "op": "open", "pool": {"limits": {"m": {"rpm": "many"}}}, "now": "2026-03-01T12:00:00Z"},
        {"seq": 1, "op": "open", "pool": {}, "now": "soon"},
        {"seq": 1, "op": "clock"},
    ],
)
def test_what_the_protocol_does_not_know_is_told(request_):
    """An answer comes to whatever is asked."""
    answer = asyncio.run(Spoken().answer(request_))
    assert set(answer) == {"seq", "error"}, answer


def test_a_store_is_named_by_its_url():
    """A scheme that there is no store for is refused with those that there are."""
    assert store_at("memory:")
    with pytest.raises(ConfigurationError, match=r"expected the URL of a store \(.*memory:.*\), not .* 'tape'"):
        store_at("tape://old")


def test_the_command_refuses_what_it_cannot_serve(capsys, tmp_path):
    """A pool file that cannot be read is said, with its place, and without what is in it."""
    path = tmp_path / "pool.json"
    path.write_text('{"api_keys": ["secret key"], "limits": 3}', encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["--pool", str(path)])
    said = capsys.readouterr().err
    assert "pool.json: limits: Input should be an object" in said
    assert "secret" not in said
    with pytest.raises(SystemExit):
        main(["--pool", str(tmp_path / "none.json")])
    assert "none.json: No such file or directory" in capsys.readouterr().err
