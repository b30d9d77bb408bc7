"""Names that other frameworks have for layers and settings are answered with ours."""

from __future__ import annotations

import re

import pytest

from alexplore.core.settings import SettingError, setting_fields
from alexplore.network.layers import EDITABLE_TYPES, read_layer
from alexplore.network.layers.other_names import ADVICE_ON, SAME_AS, SETTINGS, TYPE_OF, plain


def refusal(**entry: object) -> str:
    with pytest.raises(SettingError) as refused:
        read_layer(entry, "x")
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("ReLU", "relu"), ("Dense", "linear"), ("MaxPooling2D", "max_pool2d"), ("LRN", "local_response_norm"),
        ("Conv2D", "conv2d"), ("BatchNormalization", "batch_norm"), ("BatchNorm2d", "batch_norm"),
        ("InnerProduct", "linear"), ("SpatialConvolution", "conv2d"), ("FullyConnected", "linear"),
        ("Concatenate", "concat"), ("LeakyReLU", "leaky_relu"), ("AdaptiveAvgPool2d", "adaptive_avg_pool2d"),
        ("maxpool", "max_pool2d"), ("Eltwise", "add"), ("residual", "add"), ("Gemm", "linear"), ("fc", "linear"),
        ("LogSoftmax", "log_softmax"), ("swish", "silu"),
        ("SpatialDropout2D", "dropout2d"), ("GroupNorm", "group_norm"),
        ("relus", "relu"), ("MaxPol2D", "max_pool2d"),
    ],
)  # fmt: skip
def test_a_type_of_another_framework_is_answered_with_ours(name: str, ours: str) -> None:
    assert f'unknown type "{name}"; did you mean {ours}' in refusal(type=name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("GlobalAveragePooling2D", "use adaptive_avg_pool2d with output_size = 1."),
        ("global_avg_pool2d", "use adaptive_avg_pool2d with output_size = 1."),
        ("InstanceNorm2d", "use group_norm with num_groups"),
        ("Identity", "leave the layer out"),
        ("Activation", "name the function as the type"),
        ("ZeroPadding2D", "padding is a setting"),
        ("DepthwiseConv2D", "use conv2d with groups"),
    ],
)
def test_what_is_no_type_here_is_answered_with_what_to_write(name: str, words: str) -> None:
    assert f'unknown type "{name}": ' in refusal(type=name)
    assert words in refusal(type=name)


@pytest.mark.parametrize(
    ("entry", "ours"),
    [
        ({"type": "conv2d", "filters": 8}, "out_channels"),
        ({"type": "conv2d", "out_channels": 8, "kernel_size": 3, "strides": 2}, "stride"),
        ({"type": "conv2d", "out_channels": 8, "kernelSize": 3}, "kernel_size"),
        ({"type": "linear", "units": 8}, "out_features"),
        ({"type": "linear", "num_output": 8}, "out_features"),
        ({"type": "max_pool2d", "pool_size": 2}, "kernel_size"),
        ({"type": "dropout", "rate": 0.5}, "p"),
        ({"type": "local_response_norm", "depth_radius": 2}, "size"),
    ],
)
def test_a_setting_of_another_framework_is_answered_with_ours(entry: dict[str, object], ours: str) -> None:
    assert re.search(rf'unknown key "\w+"; did you mean {ours}\?', refusal(**entry))


def test_the_names_lead_to_types_and_settings_that_there_are() -> None:
    assert SAME_AS.keys() <= EDITABLE_TYPES.keys()
    own = {plain(name) for name in EDITABLE_TYPES}
    assert not own & (TYPE_OF.keys() | ADVICE_ON.keys()) and not TYPE_OF.keys() & ADVICE_ON.keys()
    assert sum(len(words.split()) for words in SAME_AS.values()) == len(TYPE_OF)
    assert all(word == plain(word) for word in (*TYPE_OF, *ADVICE_ON, *" ".join(SETTINGS.values()).split()))
    assert SETTINGS.keys() <= {key for cls in EDITABLE_TYPES.values() for key in setting_fields(cls)}
