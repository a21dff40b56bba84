"""The digits example: model, test vectors and card."""
