"""The one exception a user meets: its text is one sentence with what was found and what to do."""


class WhitError(Exception):
    """A mistake in a model, a file or a command; the command line prints its text and nothing else."""


def shortened(text: str) -> str:
    """What was found, as a sentence quotes it: at most 60 characters."""
    return text if len(text) <= 60 else text[:57] + "..."
