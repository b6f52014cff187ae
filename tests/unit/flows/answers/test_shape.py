"""An answer is read by its schema, or what is wrong with it goes back to the model."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.answers.schemas import checked
from prefect_governor.flows.answers.shape import Shape, read_schema, shape_of

SCHEMA = {
    "title": "A finding: of one's own!",
    "type": "object",
    "properties": {"title": {"type": "string"}, "lines": {"type": "array"}},
    "required": ["title"],
}


class Finding(BaseModel):
    title: str


@pytest.mark.parametrize(
    "answer",
    [
        '{"title": "x"}',
        '  {"title": "x"}\n',
        '```json\n{"title": "x"}\n```',
        '```\n{"title": "x"}\n```',
    ],
)
def test_valid_answer_is_its_value_fenced_or_not(answer: str) -> None:
    assert Shape(checked(SCHEMA)).read(answer) == {"title": "x"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("about leaks", "not JSON"),
        ('{"title": "x"', "not JSON"),
        ("{}", "'title' is a required property"),
        ('{"title": 7}', "title: 7 is not of type"),
        ('{"title": "x", "lines": 3}', "lines: 3"),
    ],
)
def test_bad_answer_says_what_is_wrong_for_the_repair(answer: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Shape(checked(SCHEMA)).read(answer)


def test_problems_sent_back_stay_short() -> None:
    schema = {"type": "array", "items": {"type": "integer"}}
    with pytest.raises(ValueError, match="not of type") as problem:
        Shape(checked(schema)).read("[" + ",".join(['"' + "x" * 5000 + '"'] * 40) + "]")
    assert len(str(problem.value)) < 1100


def test_name_of_a_response_format_has_only_what_providers_take() -> None:
    name = Shape(checked(SCHEMA)).response_format["json_schema"]["name"]
    assert name.replace("_", "").isalnum()
    assert name.isascii()
    assert len(name) <= 64
    assert Shape(checked({"title": "ß" * 100})).response_format["json_schema"]["name"].isascii()


def test_shape_of_what_people_give() -> None:
    assert shape_of(None) is None
    from_model = shape_of(Finding)
    assert from_model is not None
    assert from_model.schema["required"] == ["title"]
    from_schema = shape_of(SCHEMA)
    assert from_schema is not None
    assert from_schema.schema == SCHEMA
    assert shape_of(from_model) is from_model


@pytest.mark.parametrize("schema", ["a string", 7, dict, ["title"]])
def test_what_is_no_schema_is_refused(schema: object) -> None:
    with pytest.raises(ConfigurationError, match="pydantic model or a JSON schema"):
        shape_of(schema)


def test_broken_schema_is_refused_with_the_place() -> None:
    with pytest.raises(ConfigurationError, match="properties/title/type"):
        shape_of({"properties": {"title": {"type": "sentence"}}})


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "\xff"])
def test_schema_file_that_holds_no_schema_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "schema.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"schema\.json"):
        read_schema(path)


def test_schema_file_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.json.*No such file"):
        read_schema(tmp_path / "none.json")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_an_answer_without_a_bottom_is_what_is_wrong_with_it_and_no_crash(text: str) -> None:
    shape = shape_of({"type": "object"})
    assert shape is not None
    with pytest.raises(ValueError, match="nested too deeply"):
        shape.read(text)


def test_a_schema_without_a_bottom_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        read_schema(path)
