"""Draw what a model is given of a spoken word: the sound, and its features frame by frame.

python tools/features_picture.py docs/hey_jarvis.png
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from whit.demo_wakeword import spoken
from whit.features import features
from whit.microfrontend import FEATURE_SCALE, Parameters

PAUSE = 4000  # samples of silence before and behind the word


def draw(samples: np.ndarray, title: str, path: Path) -> None:
    from matplotlib.figure import Figure
    from PIL import Image

    p = Parameters()
    values = features(samples, p) * FEATURE_SCALE
    figure = Figure(figsize=(8, 4.2), dpi=80, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2.2))
    above.plot(np.arange(len(samples)) / p.rate, samples / 32768, color="#31688e", linewidth=0.5)
    above.set(ylabel="samples", yticks=[], title=title)
    # A column is as wide as a step and stands where its window ends, which is when the board has it.
    start = (p.window - p.step / 2) / p.rate
    end = start + len(values) * p.step / p.rate
    image = below.imshow(values.T, origin="lower", aspect="auto", extent=(start, end, -0.5, p.channels - 0.5))
    below.set(xlabel="seconds", ylabel="channel", xlim=(0, len(samples) / p.rate))
    figure.colorbar(image, ax=below, label="feature")
    png = io.BytesIO()
    figure.savefig(png, metadata={"Software": None})
    Image.open(png).convert("RGB").quantize(96).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--text", default="hey jarvis")
    parser.add_argument("--voice", default="slt")
    arguments = parser.parse_args()
    title = f"“{arguments.text}”, flite's voice {arguments.voice}"
    samples = np.pad(spoken(arguments.text, arguments.voice), PAUSE)
    draw(samples, title, arguments.picture)


if __name__ == "__main__":
    main()
