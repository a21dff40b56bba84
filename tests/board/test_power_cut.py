"""store: wherever the power is cut in an update, a whole model is left."""

import re
from pathlib import Path

import pytest
from blobs import digits, scores
from micropython import run

FILES = {name: Path(__file__).with_name(name).read_bytes() for name in ("flash.py", "power_cut.py")}
FILES |= {"digits.whit": digits(), "a.whit": scores("a"), "b.whit": scores("b")}
TRIED = 1000  # at least; fewer would mean that the updates were not recorded


def cut(*arguments):
    """What power_cut.py prints, and its counts: cuts, models lost."""
    output = run(f"import sys\nsys.argv[1:] = {arguments}\nimport power_cut", FILES)
    counts = re.search(r"^(\d+) cuts, .* (\d+) models lost$", output, re.M)
    assert counts, output
    return output, int(counts[1]), int(counts[2])


@pytest.mark.parametrize(("block_bytes", "blocks"), [(4096, 32), (512, 128)])
def test_a_power_cut_at_every_write_of_an_update(block_bytes, blocks):
    output, tried, lost = cut(str(block_bytes), str(blocks))
    print(f"\n{blocks} blocks of {block_bytes} bytes\n{output}power cuts: {tried:,} tried, {lost} models lost")
    assert lost == 0 and tried > TRIED


def test_a_power_cut_at_every_write_to_a_card():
    """FAT is no match for a write that stops in the middle of a block; between the blocks, the renames are enough."""
    output, tried, lost = cut("512", "128", "fat")
    print(f"\nFAT\n{output}power cuts: {tried:,} tried, {lost} models lost")
    assert lost == 0 and tried > 100


def test_the_cuts_find_an_update_that_is_careless():
    output, tried, lost = cut("512", "128", "careless")
    assert 0 < lost < tried, output
