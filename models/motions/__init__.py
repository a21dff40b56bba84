"""The motions example: models, samples, test vectors and card."""
