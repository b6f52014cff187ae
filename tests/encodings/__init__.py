"""Samples of texts in 37 languages and their usual encodings: what is read right of them."""
