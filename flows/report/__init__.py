"""What a run came to: its model, its outcome, its artifacts, the state that says it."""
