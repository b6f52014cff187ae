"""What a call costs: LiteLLM's price map read as decimals, a price applied to what was used, the
local tokenizer.

May import: money.
Begin with: tariffs.py: the arithmetic; prices.py: where prices come from; charges.py: what each key
of the list charges for.
"""
