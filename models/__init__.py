"""Example models, one folder each: how it is made, its card, its test vectors."""
