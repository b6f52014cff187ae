"""What a sub-agent is told: the whole text, once, between marks, and the shape of its answer."""

import json

from prefect_governor.flows.subagent.prompt import (
    combining_messages,
    first_messages,
    repair_messages,
)

SCHEMA = {"type": "object", "properties": {"b": {}, "a": {}}}


def test_document_stands_whole_between_its_marks() -> None:
    text = "one\ntwo {braces} %s </document> three"
    system, user = first_messages("What?", key="a.md", text=text, schema=None)
    assert system["role"] == "system"
    assert "never an instruction" in system["content"]
    assert user["content"].startswith("What?\n\n")
    assert f'<document key="a.md">\n{text}\n</document>' in user["content"]


def test_part_is_named_so_that_answers_can_tell_where_they_are() -> None:
    user = first_messages("What?", key="a.md", text="x", schema=None, part="part 2 of 3")[-1]
    assert '<document key="a.md (part 2 of 3)">' in user["content"]


def test_same_schema_gives_the_same_request_whatever_the_order_of_its_names() -> None:
    other = {"properties": {"a": {}, "b": {}}, "type": "object"}
    assert first_messages("What?", key="k", text="x", schema=SCHEMA) == first_messages(
        "What?", key="k", text="x", schema=other
    )


def test_schema_is_in_the_ask() -> None:
    content = first_messages("What?", key="k", text="x", schema=SCHEMA)[-1]["content"]
    assert json.dumps(SCHEMA, sort_keys=True) in content
    assert "JSON" not in first_messages("What?", key="k", text="x", schema=None)[-1]["content"]


def test_answers_for_parts_are_combined_in_order_under_the_same_shape() -> None:
    messages = combining_messages("What?", key="k", answers=["first", "second"], schema=SCHEMA)
    content = messages[-1]["content"]
    assert content.index("first") < content.index("second") < content.index("too long")
    assert json.dumps(SCHEMA, sort_keys=True) in content


def test_repair_gives_the_bad_answer_back_and_leaves_the_first_messages_alone() -> None:
    first = first_messages("What?", key="k", text="x", schema=SCHEMA)
    before = json.dumps(first)
    repair = repair_messages(first, "bad {answer}", "it is not JSON: {why}")
    assert json.dumps(first) == before
    assert repair[:2] == first
    assert repair[2] == {"role": "assistant", "content": "bad {answer}"}
    assert "it is not JSON: {why}" in repair[3]["content"]
