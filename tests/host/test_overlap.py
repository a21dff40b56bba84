"""How far an output may lie over an input: safe in every order that FORMAT.md leaves a kernel, and no further."""

import random

import pytest
from access import AHEAD, KERNELS, accesses, random_step
from whit.device import opset
from whit.overlap import overlaps
from whit.program import Place, Step


def safe(step: Step, name: str, distance: int, ahead: int) -> bool:
    """Whether no byte of an input is read after it was overwritten, at the distance input - output."""
    written = set()
    for field, byte in accesses(step, ahead):
        if field == "y":
            written.add(byte)
        elif field == name and distance + byte in written:
            return False
    return True


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", range(60))
def test_the_least_distance_is_safe_and_tight(kernel, seed):
    step = random_step(random.Random(f"{kernel}{seed}"), kernel)
    extents = step.extents()
    assert extents, step
    for name in step.arena.keys() - {"y"}:
        overlap = overlaps(step).get(name)
        if overlap is None:
            assert kernel == "depthwise" and step.values["ic"] != step.values["oc"]
            continue
        for distance in range(overlap.least, extents["y"], overlap.stride):
            assert overlap.allows(distance)
            assert all(safe(step, name, distance, ahead) for ahead in AHEAD), (step, distance)
        less = overlap.least - overlap.stride
        assert not overlap.allows(less)
        if less > -extents[name]:
            assert not safe(step, name, less, 1), (step, less)


@pytest.mark.parametrize("seed", range(60))
def test_depthwise_overlaps_at_multiples_of_its_channels_only(seed):
    """At another distance a channel's output meets what another channel has still to read, wherever both are used."""
    rng = random.Random(seed)
    step = random_step(rng, "depthwise")
    c = rng.randrange(2, 5)
    step.values.update(ic=c, oc=c, kh=3, kw=3, sy=1, sx=1, dy=1, dx=1, py=1, px=1)
    step.values.update(oh=step.values["ih"], ow=step.values["iw"])
    extents, overlap = step.extents(), overlaps(step)["x"]
    assert overlap.stride == c
    for distance in range(-extents["x"] + c, extents["y"] - c):
        assert overlap.allows(distance) <= safe(step, "x", distance, 1)
        assert distance % c == 0 or not safe(step, "x", distance, 1)


def _image(kernel: str, ih, iw, ic, oh, ow, oc, k, stride=1, padding=0) -> Step:
    values = dict(ih=ih, iw=iw, ic=ic, oh=oh, ow=ow, oc=oc, kh=k, kw=k, sy=stride, sx=stride, dy=1, dx=1)
    return Step(kernel, kernel, values | dict(py=padding, px=padding), {"x": Place(0), "y": Place(1)})


def _dense(k: int, o: int) -> Step:
    return Step("dense", "dense", {"rows": 1, "k": k, "o": o}, {"x": Place(0), "y": Place(1)})


@pytest.mark.parametrize(
    ("step", "least"),
    [
        (_image("conv2d", 5, 5, 8, 5, 5, 8, 1), 0),
        (
            _image("conv2d", 48, 48, 8, 48, 48, 16, 1),
            (48 * 48 - 1) * 8,
        ),  # but for the last pixel, behind which nothing is read
        (_image("conv2d", 32, 32, 16, 32, 32, 16, 3, padding=1), 33 * 16),  # a row and a pixel
        (_image("depthwise", 25, 5, 64, 25, 5, 64, 3, padding=1), -5 * 64),  # a row behind, as rows are read once
        (_image("depthwise", 25, 5, 8, 25, 5, 16, 3, padding=1), None),
        (_dense(640, 128), -640),  # anywhere: all of the one row has been read
        (_dense(4000, 4), 4),  # nowhere: without scratch it is read again
    ],
)
def test_known_distances(step, least):
    assert getattr(overlaps(step).get("x"), "least", None) == least


def test_every_other_kernel_promises_nothing():
    assert {row[1] for row in opset.KERNELS} - set(KERNELS) == {"copy", "fill"}
    values = {f"{letter}{i}": 1 for letter in "nxy" for i in range(4 if letter == "n" else 3)}
    assert not overlaps(Step("copy", "copy", values, {"x": Place(0), "y": Place(1)}))
    assert not overlaps(Step("fill", "fill", {"n": 4, "value": 0}, {"y": Place(0)}))
