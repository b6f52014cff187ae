"""OpenAI, by its APIs."""
