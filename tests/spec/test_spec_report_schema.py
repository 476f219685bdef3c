"""The JSON Schema of the report."""

import json

from pytest_keyconform.spec.report_schema import json_schema


def test_the_schema_names_the_fields_of_the_report():
    """The schema is a JSON Schema with the fields of a report, by the names they have in the file."""
    schema = json.loads(json.dumps(json_schema()))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"schema", "spec", "verdict", "invariants", "run"} <= set(schema["required"])
    assert set(schema["$defs"]["CountsModel"]["required"]) == {
        *("conforms", "violated", "inconclusive", "not-applicable", "waived"),
    }
    assert schema["additionalProperties"] is False
