"""What a ledger bears: calls a second, a million of them, many processes."""
