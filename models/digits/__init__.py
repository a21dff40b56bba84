"""The digits example: models, samples, test vectors and card."""
