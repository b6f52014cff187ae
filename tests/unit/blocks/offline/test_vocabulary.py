"""The words that are compared: stems, and the parts of names."""

from prefect_governor.blocks.offline.vocabulary import words


def test_words_are_stems_and_names_are_words() -> None:
    assert words("The retries of getHTTPResponse, in snake_case") == words(
        "retry get http response snake case"
    )
    assert words("settings") != words("set")
    assert words("日本") == ["日", "本"]
