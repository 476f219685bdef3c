"""The schema of the wire says what is sent, and nothing else."""

from __future__ import annotations

import json

import pytest

from pytest_keyconform.adapters.base import OPERATIONS
from pytest_keyconform.adapters.wire_schema import json_schema
from pytest_keyconform.cli import main
from pytest_keyconform.spec.pool import Pool
from pytest_keyconform.spec.wire import UNCARRIED


def test_the_schema_is_printed(capsys):
    """`keyconform schema wire` shows it as JSON."""
    assert main(["schema", "wire"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


def test_every_operation_that_crosses_a_wire_is_described():
    """With its parameters, and with what it answers."""
    schema = json_schema()
    requests = {one["title"]: set(one["properties"]) - {"seq", "op"} for one in schema["$defs"]["request"]["oneOf"]}
    carried = {name: set(taken) for name, taken in OPERATIONS.items() if name not in UNCARRIED}
    own = {"hello": {"protocol"}, "open": {"pool", "now"}, "clock": {"now"}, "close": set()}
    assert requests == {**carried, **own}
    assert set(schema["$defs"]["ok"]) == set(requests)


def test_every_reference_leads_somewhere():
    """No name stands for nothing."""
    schema = json_schema()
    text = json.dumps(schema)
    names = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
    assert names <= set(schema["$defs"])


@pytest.mark.parametrize("pool", [Pool(api_keys=("k",)), Pool(limits={"m1": {"rpm": 3}})])
def test_a_pool_is_sent_as_it_is_described(pool):
    """Each field that is sent is one of the schema."""
    sent = pool.model_dump(mode="json")
    assert set(sent) == set(json_schema()["$defs"]["Pool"]["properties"])
