"""What names a function of a person's: its source, where there is one."""

from pathlib import Path

from prefect_governor.flows.agent.callables import source_of


def test_a_function_of_a_page_that_is_no_python_is_named_by_its_compiled_form(
    tmp_path: Path,
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\nof (words\n")
    names: dict[str, object] = {"__name__": "page"}
    exec(compile("\n\ndef stock(part):\n    return len(part)\n", str(page), "exec"), names)
    name, *compiled = source_of(names["stock"])
    assert name == "page.stock" and compiled == source_of(names["stock"])[1:] != []
    assert "len" in compiled[-1]
