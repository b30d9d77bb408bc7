"""Other frameworks' names of layer types and settings, and ours for each.

Keras, TensorFlow, Caffe, Torch7, MXNet, ONNX and PyTorch's own classes. Names are compared without case, `_` and `-`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from alexplore.core.settings import nearest

SAME_AS: Mapping[str, str] = {
    "conv2d": "conv conv2dlayer convlayer convolution convolution2d convolutional spatialconvolution "
    "spatialconvolutionmm",
    "linear": "dense denselayer fc fclayer fullyconnected fullyconnectedlayer innerproduct gemm matmul affine ip",
    "max_pool2d": "maxpool maxpoollayer maxpooling maxpooling2d maxpool2dlayer spatialmaxpooling",
    "avg_pool2d": "avgpool avgpooling averagepool averagepooling averagepooling2d meanpool spatialaveragepooling",
    "adaptive_avg_pool2d": "adaptiveavgpool adaptiveaveragepooling2d spatialadaptiveaveragepooling",
    "adaptive_max_pool2d": "adaptivemaxpool adaptivemaxpooling2d spatialadaptivemaxpooling",
    "local_response_norm": "lrn lrnlayer localresponsenormalization localresponsenormalization2dlayer responsenorm "
    "responsenormalization crossmapnorm spatialcrossmaplrn crossmaplrn2d",
    "batch_norm": "batchnorm1d batchnorm2d batchnormalization batchnormalizationlayer bn bnlayer syncbatchnorm "
    "spatialbatchnormalization",
    "group_norm": "groupnormalization gn",
    "layer_norm": "layernormalization ln",
    "relu": "relulayer rectifier rectify rectifiedlinear rectifiedlinearunit",
    "leaky_relu": "lrelu leakyrelulayer leakyrectify",
    "prelu": "prelulayer parametricrelu",
    "elu": "elulayer",
    "gelu": "gelulayer",
    "silu": "swish swishlayer",
    "hardswish": "hswish",
    "hardsigmoid": "hsigmoid",
    "tanh": "tanhlayer hyperbolictangent",
    "sigmoid": "sigmoidlayer logistic logsig",
    "dropout": "dropoutlayer dropout1d",
    "dropout2d": "spatialdropout spatialdropout2d channeldropout",
    "flatten": "flattenlayer reshape view",
    "softmax": "softmaxlayer softmaxoutput softmax2d",
    "log_softmax": "logsoftmaxlayer",
    "add": "addlayer additionlayer addition eltwise elementwisesum elemwisesum caddtable sum residual shortcut skip",
    "mul": "multiply multiplication cmultable elementwisemul elemwisemul",
    "concat": "concatenate concatlayer concatenationlayer depthconcat cat jointable",
}  # fmt: skip
"""Other frameworks' names of our layer types, by our type."""

ADVICE: Mapping[str, str] = {
    "globalavgpool globalavgpool2d globalaveragepool globalaveragepooling globalaveragepooling2d gap": (
        "use adaptive_avg_pool2d with output_size = 1"
    ),
    "globalmaxpool globalmaxpool2d globalmaxpooling globalmaxpooling2d": "use adaptive_max_pool2d with output_size = 1",
    "pool pool2d pooling pooling2d poolinglayer": "use max_pool2d or avg_pool2d",
    "activation nonlinearity": "name the function as the type: relu, tanh, sigmoid",
    "depthwiseconv depthwiseconv2d depthwiseconvolution": "use conv2d with groups = the number of its input channels",
    "separableconv separableconv2d": (
        "use two conv2d: one with groups = the number of its input channels, one with kernel_size = 1"
    ),
    "instancenorm instancenorm2d instancenormalization": "use group_norm with num_groups = the number of channels",
    "input inputlayer data placeholder": "no layer is needed: input = [channels, height, width] says it",
    "identity noop linearactivation": "leave the layer out: `inputs` of another can name any layer",
    "pad pad2d padding zeropad zeropad2d zeropadding2d spatialzeropadding": (
        "padding is a setting of the convolution or pool behind it: [left, right, top, bottom]"
    ),
}
"""Other frameworks' names of layers that are not layer types here, with what to write instead."""

SETTINGS: Mapping[str, str] = {
    "out_channels": "filters nfilters nf outchannel outputs nout numoutput numfilters numfilter noutputplane channels",
    "in_channels": "inchannel inputs nin ninputplane",
    "out_features": "units numhidden numunits outputsize numoutput hidden nout",
    "in_features": "nin inputdim inputsize",
    "kernel_size": "kernel kernels ksize size filtersize poolsize window kernelshape k",
    "stride": "strides step subsample subsampling",
    "padding": "pad pads border bordermode",
    "dilation": "dilations dilationrate dilate",
    "groups": "group numgroup numgroups",
    "bias": "usebias biasterm hasbias",
    "p": "rate prob probability dropprob dropoutratio ratio keepprob",
    "size": "depthradius localsize nsize",
    "k": "bias knorm",
    "eps": "epsilon",
    "momentum": "decay",
    "num_groups": "groups",
    "negative_slope": "alpha slope leak",
}
"""Other frameworks' names of settings, by our name."""


def plain(name: str) -> str:
    """Return a name without case, `_`, `-` and blanks."""
    return "".join(character for character in name.lower() if character.isalnum())


TYPE_OF = {word: type_ for type_, words in SAME_AS.items() for word in words.split()}
ADVICE_ON = {word: advice for words, advice in ADVICE.items() for word in words.split()}


def suggested_type(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown type: the type that is meant, what to write, or nearest names."""
    types, word = {plain(one): one for one in known}, plain(name)
    meant = types.get(word) or TYPE_OF.get(word)
    if meant is not None:
        return f"; did you mean {meant}?"
    return f": {ADVICE_ON[word]}." if word in ADVICE_ON else nearest(name.lower(), types.values())


def suggested_setting(key: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown setting of a layer: the setting that is meant, or nearest names."""
    known, word = list(known), plain(key)
    meant = [one for one in known if plain(one) == word or word in SETTINGS.get(one, "").split()]
    return f"; did you mean {' or '.join(meant)}?" if meant else nearest(key, known)
