"""The beats example: models, samples, test vectors and card."""
