"""What a call costs: LiteLLM's price map read as decimals, a price applied to what was used, the
local tokenizer.

May import: errors, money.
Begin with: tariffs.py: the arithmetic; prices.py: where prices come from; charges.py: what each key
of the list charges for; bedrock.py: which entry is a region's; deployments.py: which entries are a
deployment's; given.py: what a person says instead, own.py: of which model.
"""
