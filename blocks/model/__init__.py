"""Models: prices, tokens, completion and its kin, the offline model."""
