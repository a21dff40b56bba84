"""Public float models, quantized here, are as near to themselves as the int8 models that their authors publish."""

from __future__ import annotations

import pytest
from conftest import MODELS
from quantization import CASES, compare


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_as_near_to_the_float_model_as_the_published_int8_model(case, public_model):
    for name in (case.float_model, case.int8_model):
        public_model(name)
    published, ours = compare(case, MODELS / "mlperf-tiny")
    assert ours.rmse <= published.rmse
    assert ours.same >= published.same or not case.classes
