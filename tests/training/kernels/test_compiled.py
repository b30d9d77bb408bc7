"""Local response normalisation in compiled C against PyTorch's own, and its compilation."""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from alexplore.network.graph import read_network
from alexplore.runs.kernel_choice import VARIABLE
from alexplore.training.commands import doctor
from alexplore.training.kernels import compiler, lrn, lrn_compiled, processor, table
from alexplore.training.kernels.table import NONE, Kernels, choose_kernels
from alexplore.training.model.build import build
from tests.support.examples import examples

needs_compiler = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not any(map(shutil.which, compiler.COMPILERS)), reason="no C compiler"
)

ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2**-6}
"""The largest relative difference by type: bfloat16 has eight significant bits."""


def layer(size: int, alpha: float = 0.1, k: float = 2.0, groups: int = 1) -> lrn.LocalResponseNorm:
    return lrn.LocalResponseNorm(size, alpha, 0.75, k, groups, one_pass=True)


def drawn(*shape: int, dtype: torch.dtype) -> Tensor:
    maps = torch.randn(shape).mul_(3).to(dtype)
    return maps.contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.fixture
def only_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where the functions that are not compiled are used."""
    assert lrn_compiled.why_not_compiled() is None
    monkeypatch.setattr(lrn, "_Windows", lambda *_: pytest.fail("not compiled"))


@needs_compiler
@pytest.mark.usefixtures("only_compiled")
@examples(200)
@given(
    st.sampled_from([*ROUNDING]), st.integers(1, 3), st.integers(1, 40), st.integers(1, 7), st.floats(1e-4, 1)
)  # fmt: skip
def test_it_equals_pytorchs(dtype: torch.dtype, groups: int, channels: int, size: int, alpha: float) -> None:
    torch.manual_seed(channels)
    maps = drawn(2, groups * channels, 3, 5, dtype=dtype)
    exact = maps.detach().double().requires_grad_()
    ours = layer(size, alpha, 1.5, groups)(maps)
    theirs = torch.cat([F.local_response_norm(part, size, alpha, 0.75, 1.5) for part in exact.chunk(groups, 1)], 1)
    assert ours.dtype == dtype
    assert ours.is_contiguous(memory_format=torch.channels_last)
    tolerance = ROUNDING[dtype]
    torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)
    toward = torch.randn(ours.shape).to(dtype)
    (gradient,) = torch.autograd.grad(ours, maps, toward)
    (expected,) = torch.autograd.grad(theirs, exact, toward.double())
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient.double(), expected, rtol=tolerance, atol=4 * tolerance)


@needs_compiler
@pytest.mark.usefixtures("only_compiled")
@pytest.mark.parametrize("dtype", ROUNDING)
def test_nan_stays_nan(dtype: torch.dtype) -> None:
    """A loss that is not finite has to be noticed."""
    maps = torch.ones(1, 20, 1, 2, dtype=dtype)
    maps[0, 3, 0, 0], maps[0, 15, 0, 1] = math.nan, -math.nan
    expected = [[0, channel, 0, 0] for channel in (2, 3, 4)] + [[0, channel, 0, 1] for channel in (14, 15, 16)]
    assert sorted(layer(3)(maps).isnan().nonzero().tolist()) == expected


@needs_compiler
@pytest.mark.usefixtures("only_compiled")
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("images", [0, 1, 2])
def test_layouts_in_memory(images: int, dtype: torch.dtype) -> None:
    """PyTorch's layout, a slice of the channels of other maps, and a gradient without memory of its own."""
    maps = drawn(images, 6, 3, 4, dtype=dtype)
    expected = layer(5)(maps)
    toward = torch.randn(expected.shape).to(dtype).contiguous(memory_format=torch.channels_last)
    ways = toward, torch.ones_like(toward)
    gradients = [torch.autograd.grad(expected, maps, way, retain_graph=True) for way in ways]
    sliced = torch.cat([maps.detach()] * 2, 1).contiguous(memory_format=torch.channels_last)[:, 6:]
    for other in (maps.detach().contiguous(), sliced):
        found = layer(5)(other.requires_grad_())
        assert torch.equal(found, expected)
        assert torch.equal(
            torch.autograd.grad(found, other, toward.contiguous(), retain_graph=True)[0], gradients[0][0]
        )
        assert torch.equal(torch.autograd.grad(found.sum(), other)[0], gradients[1][0])


@needs_compiler
@pytest.mark.usefixtures("only_compiled")
@pytest.mark.parametrize("bf16", [False, True])
def test_a_network_with_the_kernel_uses_it(bf16: bool) -> None:
    network = read_network(
        {
            "input": [3, 9, 9],
            "layers": [
                {"name": "conv1", "type": "conv2d", "out_channels": 16, "kernel_size": 3},
                {"name": "norm1", "type": "local_response_norm", "size": 5, "alpha": 0.1, "beta": 0.75, "groups": 2},
                {"name": "flatten", "type": "flatten"},
                {"name": "fc", "type": "linear", "out_features": 10},
            ],
        }
    )
    images, found = torch.randn(2, 3, 9, 9), list[Tensor]()
    for kernels in (Kernels({"compiled-lrn"}), NONE):
        model = build(network, 0, kernels)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            model(images).float().square().sum().backward()
        gradient = model.get_submodule("conv1").get_parameter("weight").grad
        assert gradient is not None
        found.append(gradient)
    scale = float(found[1].abs().max())
    torch.testing.assert_close(
        found[0] / scale, found[1] / scale, rtol=0, atol=ROUNDING[torch.bfloat16] if bf16 else 1e-5
    )


@needs_compiler
def test_a_second_derivative_is_refused() -> None:
    maps = drawn(1, 6, 2, 2, dtype=torch.float32)
    (gradient,) = torch.autograd.grad(layer(5)(maps).square().sum(), maps, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        torch.autograd.backward(gradient.sum())


@needs_compiler
@pytest.mark.usefixtures("only_compiled")
def test_the_number_of_threads_changes_no_bit() -> None:
    maps, before = drawn(3, 16, 5, 7, dtype=torch.float32), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            output = layer(5)(maps)
            found.append((output, *torch.autograd.grad(output, maps, torch.ones_like(output))))
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, *found))


def test_what_has_no_compiled_function_is_computed_in_blocks() -> None:
    """Another beta, float64, and tensors without values, as an export has."""
    maps = torch.randn(2, 6, 3, 3)
    other = lrn.LocalResponseNorm(5, 0.1, 0.6, 2.0, one_pass=True)
    torch.testing.assert_close(other(maps), F.local_response_norm(maps, 5, 0.1, 0.6, 2.0))
    expected = F.local_response_norm(maps, 5, 0.1, 0.75, 2.0)
    torch.testing.assert_close(layer(5)(maps.double()), expected.double(), rtol=1e-6, atol=1e-6)
    program = torch.export.export(layer(5), (maps,), strict=False)
    torch.testing.assert_close(program.module()(maps), expected)


@pytest.fixture
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heavy: None) -> Iterator[Path]:
    """Forget what is compiled, before and after; return the folder of what is compiled now."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    forget()
    yield tmp_path / "cache" / "alexplore" / "kernels"
    forget()


def forget() -> None:
    """Let the next call load or compile the functions as in a new process."""
    lrn_compiled._functions.cache_clear()
    lrn_compiled.why_not_compiled.cache_clear()


def results() -> list[Tensor]:
    """Return what the compiled functions give for some values."""
    torch.manual_seed(0)
    found: list[Tensor] = []
    for dtype in ROUNDING:
        maps = drawn(2, 37, 7, 7, dtype=dtype)
        output = layer(5)(maps)
        found += [output.detach(), *torch.autograd.grad(output, maps, torch.randn_like(output))]
    return found


@needs_compiler
def test_it_is_compiled_once(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lrn_compiled.why_not_compiled() is None
    assert len(list(anew.iterdir())) == len(ROUNDING)
    forget()
    monkeypatch.setattr(compiler, "_compile", lambda *_: pytest.fail("compiled again"))
    monkeypatch.setenv("PATH", "")  # nor is a compiler needed any more
    results()


@needs_compiler
def test_a_damaged_file_is_compiled_again(anew: Path) -> None:
    expected = results()
    files = sorted(anew.iterdir())
    for file in files:
        file.unlink()  # it is loaded, so it may not be written over
        file.write_bytes(b"damaged")
    forget()
    assert all(map(torch.equal, results(), expected))
    assert sorted(anew.iterdir()) == files
    assert all(file.stat().st_size > 1000 for file in files)


@needs_compiler
@pytest.mark.parametrize("fault", ["no folder", "full", "noexec"])
def test_it_is_compiled_elsewhere(anew: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """If it can't be kept in the cache folder."""
    if fault == "no folder":
        monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    elif fault == "full":
        monkeypatch.setenv("CC", f"""sh -c 'case "$*" in *{anew}*) exit 1;; *) exec cc "$@";; esac' --""")
    else:
        load = ctypes.CDLL

        def refuse(path: str) -> ctypes.CDLL:
            if str(anew) in path:
                raise OSError("failed to map segment from shared object")
            return load(path)

        monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert lrn_compiled.why_not_compiled() is None
    results()
    assert not list(anew.glob("*")) if anew.is_dir() else True


@needs_compiler
def test_every_processor_gives_the_same_bits(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = results()
    monkeypatch.setattr(compiler, "INSTRUCTIONS", {})  # only those that every processor of the kind has
    forget()
    assert all(map(torch.equal, results(), here))
    assert len(list(anew.iterdir())) == 2 * len(ROUNDING) or processor.processor_class("cpu") in ("arm", "other")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compiled on Linux only")
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("no-such-compiler -x", "no-such-compiler: .*No such file"),
        ("false", "false: exit code 1"),
        ("sh -c 'echo one; echo x.c: error: two >&2; exit 3'", "sh: x.c: error: two"),
        ("sh -c 'printf \"\\377 error\" >&2; exit 1'", "sh: . error"),
        ("true", "true: .*cannot open shared object file"),
        ("gcc 'x", r"\$CC: No closing quotation"),
    ],
)
def test_a_compiler_that_fails(anew: Path, monkeypatch: pytest.MonkeyPatch, command: str, reason: str) -> None:
    monkeypatch.setenv("CC", command)
    with pytest.raises(compiler.NotCompiled, match=reason):
        compiler.load_compiled(lrn_compiled.SOURCE)
    assert (why := lrn_compiled.why_not_compiled())
    monkeypatch.setattr(table, "processor_class", lambda _: "avx2")
    assert "compiled-lrn" not in choose_kernels("cpu")
    assert why in str(list(doctor.devices()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compiled on Linux only")
def test_a_compiler_that_hangs(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "COMPILE_TIMEOUT", 0.1)
    monkeypatch.setenv("CC", "sh -c 'exec sleep 600'")
    assert lrn_compiled.why_not_compiled() == "sh takes longer than 0.1 seconds"


@needs_compiler
def test_without_a_compiler_it_is_computed_in_blocks(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "processor_class", lambda _: "avx2")
    assert choose_kernels("cpu") >= {"lrn", "compiled-lrn"}
    forget()
    shutil.rmtree(anew)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    assert lrn_compiled.why_not_compiled() == "no C compiler is found (gcc, cc, or $CC)"
    assert "lrn" in choose_kernels("cpu")
    assert "compiled-lrn" not in choose_kernels("cpu")
