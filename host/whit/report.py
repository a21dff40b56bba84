"""report: an Evaluation as one HTML page that needs nothing else, and the words that it shares with a terminal.

The same evaluation gives the same bytes, with one version of matplotlib.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import math
import platform
import warnings
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__
from .emulate import CORES
from .errors import WhitError
from .evaluate import Evaluation, File, Score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES = {core.name: core.title for core in CORES}
_BLUE, _GREY, _INK, _LINE = "#2f6db5", "#9aa5b4", "#1b2430", "#d9dfe7"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "whit",
    "svg.fonttype": "none",  # text stays text, in a font of the reader's
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 9,
    "text.color": _INK,
    "text.parse_math": False,  # names are not formulas
    "axes.labelcolor": _INK,
    "axes.edgecolor": _LINE,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_MOST_COUNTED = 20  # classes whose cells have room for a number
_MOST_NAMED = 60  # and whose axes have room for a name
_LONGEST = 28  # characters of a name beside a plot


def check_installed() -> None:
    """Refuse to begin what a page would be missing at the end of.

    Raises:
        WhitError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise WhitError("a page has plots, and matplotlib is not installed; run: pip install 'whit[report]'")


def percent(part: float | None) -> str:
    """One digit behind the point; nothing for None. Only all is 100.0%."""
    if part is None:
        return ""
    return f"{math.floor(part * 1000) / 10 if part > 0.9985 else part * 100:.1f}%"


def decibels(score: Score) -> str:
    return "" if score.decibels is None else f"{score.decibels:.1f} dB"


def about(found: Evaluation) -> list[str]:
    """What the figures mean, and why some are missing."""
    lines = []
    if found.classes:
        lines.append("as float: samples for which a model gives the class that the float model gives")
    else:
        lines.append("RMSE: root of the mean square of outputs less labels")
    lines.append("SQNR: the float model's outputs against what a model's differ from them; empty where nothing does")
    lines.append("sizes in bytes; arena: the memory for activations and scratch on a board")
    if found.cores:
        lines.append("by core: instructions that one inference executes, with the native kernels, on an emulated core")
    if any(s.blob and s.ran_in == "numpy" for s in found.scores):
        lines.append("int8 models ran in numpy, as the unix port of MicroPython is not installed")
    return lines + [f"no instructions: {text}" for text in found.missing]


def page(found: Evaluation, samples: File, labels: File) -> str:
    """The whole page.

    Args:
        found: what it is about.
        samples, labels: the files with the data.

    Raises:
        WhitError: matplotlib is not installed.
    """
    check_installed()
    import matplotlib

    base = found.scores[0]
    shape = "x".join(map(str, found.sample_shape[found.sample_shape[:1] == (1,) :])) or "1"
    classes = f", {len(found.classes)} classes" if found.classes else ""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a font that lacks a letter: the reader's need not
        bars, confusions = _bars(found), _confusions(found)
    return Template(files(__package__).joinpath("report.html").read_text("utf-8")).substitute(
        title=escape(f"Accuracy report: {base.name}"),
        data=escape(f"{found.samples:,} samples ({shape}) of {samples.name}, labels of {labels.name}{classes}"),
        summary=_summary(found),
        notes="\n".join(f"<li>{escape(line)}</li>" for line in about(found)),
        bars=bars,
        classes=confusions,
        files=_files(found, samples, labels),
        versions=escape(
            f"whit {__version__}, Python {platform.python_version()}, numpy {np.__version__}, "
            f"matplotlib {matplotlib.__version__}"
        ),
    )


# Tables


def _table(head: str, rows: Sequence[str]) -> str:
    return f"<table>\n<thead>\n{head}\n</thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"


def _cells(tag: str, values: Sequence[object]) -> str:
    return "".join(f"<{tag}>{escape(str(value))}</{tag}>" for value in values)


def _number(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def _summary(found: Evaluation) -> str:
    quality = ["accuracy", "right", "as float"] if found.classes else ["RMSE"]
    cores = [_TITLES[core] for core in found.cores]
    head = '<tr><th>model</th><th class="word">type</th>'
    head += f"{_cells('th', [*quality, 'SQNR', '.whit', 'weights', 'arena', *cores])}</tr>"
    rows = []
    for n, s in enumerate(found.scores):
        if s.rmse is None:
            values = [percent(s.accuracy), f"{s.right:,} of {s.samples:,}", percent(s.agreement)]
        else:
            values = [f"{s.rmse:.4g}"]
        values += [decibels(s), *(_number(i) for i in (s.blob_bytes, s.weights_bytes, s.arena_bytes))]
        values += [_number(s.instructions.get(core)) for core in found.cores]
        row = f'<th scope="row">{escape(s.name)}</th><td class="word">{s.kind}</td>{_cells("td", values)}'
        rows.append(f"<tr>{row}</tr>" if n else f'<tr class="base">{row}</tr>')
    return _table(head, rows)


def _by_class(found: Evaluation) -> str:
    models = "".join(f'<th class="group" colspan="2">{escape(s.name)}</th>' for s in found.scores)
    head = f"<tr><th></th><th></th>{models}</tr>\n"
    head += f"<tr>{_cells('th', ['class', 'samples', *['recall', 'precision'] * len(found.scores)])}</tr>"
    rows = []
    for i, name in enumerate(found.classes):
        values = [percent(part) for s in found.scores for part in (s.recall(i), s.precision(i))]
        total = f"{sum(found.scores[0].confusion[i]):,}"
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{_cells("td", [total, *values])}</tr>')
    return _table(head, rows)


def _files(found: Evaluation, samples: File, labels: File) -> str:
    head = '<tr><th>file</th><th>bytes</th><th class="word">SHA-256</th><th class="word">ran in</th></tr>'
    told = [(s.name, s.file_bytes, s.sha256, s.ran_in) for s in found.scores]
    told += [(file.name, len(file.data), file.sha256, "") for file in (samples, labels)]
    return _table(
        head,
        [
            f'<tr><th scope="row">{escape(name)}</th><td>{size:,}</td><td class="word"><code>{sha256[:16]}</code></td>'
            f'<td class="word">{where}</td></tr>'
            for name, size, sha256, where in told
        ],
    )


# Plots


def _image(figure: Figure, what: str) -> str:
    """The figure inside the page. As an image, its names and those of the others do not meet."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    data = base64.b64encode(file.getvalue()).decode()
    return f'<figure><img src="data:image/svg+xml;base64,{data}" alt="{escape(what)}"></figure>'


def _short(name: str) -> str:
    name = "".join(c if c.isprintable() else "?" for c in name)
    half = _LONGEST // 2 - 1
    return name if len(name) <= _LONGEST else f"{name[:half]}..{name[-half:]}"


def _bars(found: Evaluation) -> str:
    """A plot for each figure: how right the models are, what they take."""
    scores = found.scores
    panels: list[tuple[str, list[Any], Callable[[Any], str]]] = []
    if found.classes:
        panels.append(("accuracy", [s.accuracy for s in scores], percent))
    else:
        panels.append(("RMSE", [s.rmse for s in scores], "{:.4g}".format))
    panels.append(("weights, bytes", [s.weights_bytes for s in scores], _number))
    panels.append((".whit, bytes", [s.blob_bytes for s in scores], _number))
    for core in found.cores:
        panels.append((f"instructions, {_TITLES[core]}", [s.instructions.get(core) for s in scores], _number))
    return "\n".join(_bar(scores, *panel) for panel in panels if any(v is not None for v in panel[1]))


def _bar(scores: Sequence[Score], title: str, values: Sequence[Any], text: Callable[[Any], str]) -> str:
    from matplotlib.figure import Figure

    there = [n for n, value in enumerate(values) if value is not None]
    names = [_short(scores[n].name) for n in there]
    left, wide, right, above, high = 0.12 + 0.056 * max(map(len, names)), 1.75, 0.7, 0.32, 0.27 * len(there)  # inches
    across, down = left + wide + right, above + high + 0.05
    figure = Figure(figsize=(across, down))
    axes = figure.add_axes((left / across, 0.05 / down, wide / across, high / down))
    numbers = [values[n] or 0 for n in there]
    bars = axes.barh(range(len(there)), numbers, height=0.62, color=[_BLUE if n else _GREY for n in there])
    axes.bar_label(bars, [text(values[n]) for n in there], padding=4)
    axes.set_yticks(range(len(there)), names)
    axes.set_ylim(len(there) - 0.5, -0.5)
    axes.set_title(title)
    axes.set_xlim(0, max([*numbers, 1e-12]))
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    return _image(figure, f"{title}: " + ", ".join(f"{scores[n].name} {text(values[n])}" for n in there))


def _confusions(found: Evaluation) -> str:
    if not found.classes:
        return ""
    maps = "\n".join(_confusion(s, found.classes) for s in found.scores)
    return (
        '<h2>Confusion</h2>\n<p class="quiet">Rows are the classes of the samples, columns the answers; the darker a '
        f'cell, the larger its part of the row.</p>\n<div class="plots">\n{maps}\n</div>\n'
        f'<h2>By class</h2>\n<div class="wide">\n{_by_class(found)}\n</div>'
    )


def _confusion(score: Score, classes: Sequence[str]) -> str:
    from matplotlib.figure import Figure

    n, table = len(classes), np.array(score.confusion)
    part = table / np.maximum(table.sum(1, keepdims=True), 1)
    names, size = [_short(name) for name in classes], 9 if n <= _MOST_COUNTED else 6
    side, margin = min(max(1.2, 0.31 * n), 6.5), 0.05  # inches
    if n <= _MOST_NAMED:
        margin = 0.15 + 0.0068 * size * max(map(len, names))
    title = _short(score.name)
    across, down = margin + max(side, 0.08 * len(title)) + 0.05, margin + side + 0.35
    figure = Figure(figsize=(across, down))
    axes = figure.add_axes((margin / across, margin / down, side / across, side / down))
    if n <= _MOST_COUNTED:
        grid = np.arange(n + 1) - 0.5
        axes.pcolormesh(grid, grid, part, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.6)
        axes.invert_yaxis()
    else:  # a pixel for each cell, which is smaller
        axes.imshow(part, cmap="Blues", vmin=0, vmax=1, interpolation="none")
    axes.set_title(title, pad=8)
    if n <= _MOST_NAMED:
        axes.set_yticks(range(n), names, fontsize=size)
        axes.set_xticks(range(n), names, fontsize=size, rotation=90 if max(map(len, names)) > 2 else 0)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    axes.tick_params(length=0)
    if n <= _MOST_COUNTED:
        for row, column in zip(*np.nonzero(table), strict=True):
            ink = "white" if part[row, column] > 0.55 else _INK
            axes.text(column, row, f"{table[row, column]}", ha="center", va="center", color=ink, fontsize=8)
    return _image(figure, f"confusion matrix of {score.name}, {percent(score.accuracy)} right")
