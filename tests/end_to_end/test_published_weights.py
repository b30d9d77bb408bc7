"""torchvision's weights, as a file and without a run: what they say is what torchvision's own network says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.processes import Alexplore


@pytest.mark.exhaustive
def test_a_file_of_weights_needs_no_run(alexplore: Alexplore, tmp_path: Path) -> None:
    from torchvision.models import AlexNet_Weights, alexnet  # type: ignore[import-untyped]

    torch.manual_seed(3)
    model = alexnet().eval()  # the published ones can't be had without a network; theirs have the same names and shapes
    weights = tmp_path / "alexnet-owt.pth"
    torch.save(model.state_dict(), weights)
    pixels = np.random.default_rng(4).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    names = []
    for name in ("dog", "cat"):
        picture = tmp_path / "data" / "val" / name / "a.png"
        picture.parent.mkdir(parents=True)
        Image.fromarray(pixels).save(picture)
        names.append(picture)

    published = AlexNet_Weights.IMAGENET1K_V1
    with torch.no_grad():
        expected = model(published.transforms()(Image.fromarray(pixels))[None]).softmax(1)[0].topk(5)
    done = alexplore("predict", "torchvision", str(names[0]), "--weights", str(weights), "--json")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)[str(names[0])]
    assert [name for name, _ in answers] == [published.meta["categories"][i] for i in expected.indices.tolist()]
    assert [p for _, p in answers] == pytest.approx(expected.values.tolist(), rel=1e-3)

    (tmp_path / "data" / "train").symlink_to("val")
    wrong = alexplore("evaluate", "torchvision", "--weights", str(weights), "--data", str(tmp_path / "data"))
    assert wrong.returncode == 2
    assert "2 classes" in wrong.stderr
    for command in (("predict", "lenet", str(names[0])), ("evaluate", "lenet")):
        wrong = alexplore(*command, "--weights", str(weights))
        assert wrong.returncode == 2
        assert "contains 16 tensors, the network has 10" in wrong.stderr
    assert alexplore("predict", "torchvision", str(names[0])).returncode == 2
