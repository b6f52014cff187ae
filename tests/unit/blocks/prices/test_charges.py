"""What the list charges for is counted, or the model has no price, by the key's name."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from prefect_governor.blocks.prices.charges import uncounted
from prefect_governor.blocks.prices.entries import Unpriced, parse
from prefect_governor.blocks.prices.prices import Price, load_price, why_unpriced

BASE: dict[str, Any] = {
    "input_cost_per_token": Decimal("0.000001"),
    "output_cost_per_token": Decimal("0.000002"),
    "cache_read_input_token_cost": Decimal("0.0000001"),
    "litellm_provider": "openai",
    "mode": "chat",
}


def refused(**entry: Any) -> str | None:
    """The key by whose name an entry has no price; None where it has one."""
    found = parse("some-model", {**BASE, **entry})
    if isinstance(found, Price):
        return None
    assert found.key in found.why
    return found.key


@pytest.mark.parametrize(
    "key",
    [
        "output_cost_per_image",
        "output_cost_per_image_token",
        "output_cost_per_second",
        "output_cost_per_second_1080p",
        "output_cost_per_video_token",
        "input_cost_per_character",
        "input_cost_per_second",
        "input_cost_per_query",
        "citation_cost_per_token",
        "cost_per_second",
        "ocr_cost_per_page",
        "input_cost_per_text_message",
        "thinking_fee",
        "weekend_uplift_multiplier",
        "output_price_per_joule",
        "output_cost_per_token_superfast",
        "input_cost_per_token_above_15s_interval",
    ],
)
def test_charge_that_tokens_do_not_bound_leaves_no_price(key: str) -> None:
    assert refused(**{key: Decimal("0.01")}) == key
    assert refused(**{key: Decimal(0)}) is None, "what costs nothing charges nothing"


@pytest.mark.parametrize("value", ["0.01", -1, Decimal("NaN"), True, [1]])
def test_rate_that_is_no_amount_leaves_no_price(value: Any) -> None:
    assert refused(output_cost_per_reasoning_token=value) == "output_cost_per_reasoning_token"
    assert refused(input_cost_per_request=value) == "input_cost_per_request"


@pytest.mark.parametrize(
    "key",
    [
        "input_cost_per_token_batches",
        "cache_read_input_token_cost_above_272k_tokens_batches",
        "google_maps_grounding_cost_per_query",
        "code_interpreter_cost_per_session",
        "input_dbu_cost_per_token",
        "input_cost_per_audio_token",
        "input_cost_per_audio_token_priority",
        "cache_read_input_audio_token_cost",
        "input_cost_per_video_per_second",
        "regional_processing_uplift_multiplier_eu",
    ],
)
def test_charge_that_no_governed_call_can_meet_leaves_the_price(key: str) -> None:
    assert refused(**{key: Decimal("0.01")}) is None


def test_images_that_cost_more_than_text_leave_no_price() -> None:
    key = "input_cost_per_image_token"
    assert refused(**{key: BASE["input_cost_per_token"]}) is None
    assert refused(**{key: BASE["input_cost_per_token"] * 2}) == key
    assert refused(input_cost_per_image=Decimal("0.01")) == "input_cost_per_image"
    # The path of embeddings takes no image.
    assert refused(mode="embedding", input_cost_per_image=Decimal("0.01")) is None


def test_outputs_that_a_model_does_not_write_cost_nothing() -> None:
    image = {"output_cost_per_image": Decimal("0.04")}
    assert refused(**image, supported_output_modalities=["text"]) is None
    assert refused(**image, supported_output_modalities=["text", "image"]) is not None
    # OpenAI's write audio when they are asked for it, which is refused; Gemini's do so by default.
    audio = {"output_cost_per_audio_token": Decimal("0.04")}
    assert refused(**audio) is None
    assert refused(**audio, litellm_provider="gemini") == "output_cost_per_audio_token"


def test_hours_that_cost_more_leave_no_price_and_those_that_cost_less_do() -> None:
    hours = {"windows": [], "input_cost_per_token": Decimal("0.0000005")}
    assert refused(off_peak_pricing=hours) is None
    dearer = {**hours, "output_cost_per_token": Decimal("0.000003")}
    assert refused(off_peak_pricing=dearer) == "off_peak_pricing.output_cost_per_token"
    assert refused(off_peak_pricing="at night") == "off_peak_pricing"


def test_charge_within_a_tier_is_one_of_the_model() -> None:
    tier = {"range": [0, 1000], **BASE, "input_cost_per_query": Decimal("0.01")}
    assert uncounted({"tiered_pricing": [tier]}) == "input_cost_per_query"


def test_price_of_0_is_a_gap_unless_the_machine_is_ones_own() -> None:
    for key in ("input_cost_per_token", "output_cost_per_token"):
        assert refused(**{key: 0}) == key
    assert refused(mode="embedding", output_cost_per_token=0) is None
    assert refused(mode="embedding", input_cost_per_token=0) == "input_cost_per_token"
    free = {"input_cost_per_token": 0, "output_cost_per_token": 0}
    assert isinstance(parse("ollama/llama3", {**BASE, **free}, local=True), Price)
    assert isinstance(parse("ollama/llama3", {**BASE, **free}), Unpriced)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        # Music by the piece: 0 a token, $0.04 each.
        ("gemini/lyria-3-clip-preview", "output_cost_per_image"),
        ("gemini/lyria-3-pro-preview", "output_cost_per_image"),
        ("gemini/gemini-2.5-pro-preview-tts", "output_cost_per_audio_token"),
        ("gemini/gemini-omni-flash-preview", "output_cost_per_video_token"),
        # The router's own fee; the model that it chooses is billed beside it.
        ("azure/model-router", "output_cost_per_token"),
        ("ollama/gpt-oss:120b-cloud", "input_cost_per_token"),
    ],
)
def test_shipped_models_that_bill_something_else_are_refused_by_its_name(
    model: str, key: str
) -> None:
    assert load_price(model) is None
    assert f"`{key}" in why_unpriced(model)


def test_what_each_entry_of_the_list_comes_to(capsys: pytest.CaptureFixture[str]) -> None:
    """Every entry has a price or a key that says why not; most that can be called have a price."""
    from prefect_governor.blocks.prices.prices import _entries

    priced: Counter[str] = Counter()
    why: Counter[str] = Counter()
    for name, entry in _entries().items():
        mode = str(entry.get("mode"))
        found = parse(name, entry, local=entry.get("litellm_provider") == "ollama")
        if mode not in ("chat", "responses", "embedding"):
            continue
        if isinstance(found, Price):
            priced[mode] += 1
        else:
            why[found.key] += 1
            assert found.key.split(".")[0] in {*entry, "search_context_cost_per_query"} or (
                f"no `{found.key}`" in found.why
            ), name
    with capsys.disabled():
        print(f"\npriced {dict(priced)}, refused {sum(why.values())}: {dict(why)}")
    assert priced["chat"] > 10 * sum(why.values())


def test_part_that_a_dearer_tier_leaves_out_costs_the_dearer_of_both() -> None:
    entry = {
        **BASE,
        "output_cost_per_reasoning_token": Decimal("0.000003"),
        "input_cost_per_token_priority": Decimal("0.000002"),
        "output_cost_per_token_priority": Decimal("0.000004"),
    }
    found = parse("some-model", entry)
    assert isinstance(found, Price)
    assert found.service["priority"].rates.reasoning == Decimal("0.000004")
    entry["output_cost_per_token_priority"] = Decimal("0.0000025")
    found = parse("some-model", entry)
    assert isinstance(found, Price)
    assert found.service["priority"].rates.reasoning == Decimal("0.000003")


def test_two_names_of_one_thing_cost_the_dearer() -> None:
    hit = Decimal("0.0000002")
    found = parse("some-model", {**BASE, "input_cost_per_token_cache_hit": hit})
    assert isinstance(found, Price)
    assert found.cached_input == hit


def test_images_that_a_model_writes_are_priced_by_the_token_where_the_list_says_so() -> None:
    image: dict[str, Any] = {
        "litellm_provider": "gemini",
        "output_cost_per_image_token": Decimal("0.00003"),
        "output_cost_per_image": Decimal("0.039"),
    }
    found = parse("gemini/some-image", {**BASE, **image})
    assert isinstance(found, Price)
    assert (found.image_output, found.mode) == (Decimal("0.00003"), "chat")
    assert found.at(Decimal("1.1")).image_output == Decimal("0.000033")
    # Of anybody else no dialect knows how many there are.
    assert refused(**{**image, "litellm_provider": "openai"}) == "output_cost_per_image_token"
    # An image that is read for more than its tokens cost.
    dear = {**image, "input_cost_per_image": Decimal("0.1")}
    assert refused(**dear) == "input_cost_per_image"
