"""Local response normalisation in compiled C against PyTorch's own, and its compilation."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from alexplore.runs.kernel_choice import VARIABLE
from alexplore.training.kernels import compiler, lrn, lrn_compiled, processor, table
from alexplore.training.kernels.table import choose_kernels
from tests.support.examples import examples

pytestmark = pytest.mark.skipif(
    bool(lrn_compiled.why_not_compiled()), reason=f"local response normalisation: {lrn_compiled.why_not_compiled()}"
)

ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2**-6}
"""The largest relative difference by type: bfloat16 has eight significant bits."""


def layer(size: int, alpha: float = 0.1, k: float = 2.0, groups: int = 1) -> lrn.LocalResponseNorm:
    return lrn.LocalResponseNorm(size, alpha, 0.75, k, groups, compiled=True)


def drawn(*shape: int, dtype: torch.dtype) -> Tensor:
    maps = torch.randn(shape).mul_(3).to(dtype)
    return maps.contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.fixture
def only_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where the functions that are not compiled are used."""
    monkeypatch.setattr(lrn, "_Windows", lambda *_: pytest.fail("not compiled"))


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


@pytest.mark.usefixtures("only_compiled")
@pytest.mark.parametrize("dtype", ROUNDING)
def test_what_is_no_number_stays_none(dtype: torch.dtype) -> None:
    """A loss that is not finite has to be noticed."""
    maps = torch.ones(1, 20, 1, 2, dtype=dtype)
    maps[0, 3, 0, 0], maps[0, 15, 0, 1] = math.nan, -math.nan
    expected = [[0, channel, 0, 0] for channel in (2, 3, 4)] + [[0, channel, 0, 1] for channel in (14, 15, 16)]
    assert sorted(layer(3)(maps).isnan().nonzero().tolist()) == expected


@pytest.mark.usefixtures("only_compiled")
@pytest.mark.parametrize("dtype", ROUNDING)
def test_no_images_and_other_layouts(dtype: torch.dtype) -> None:
    none = torch.zeros(0, 6, 4, 4, dtype=dtype, requires_grad=True)
    layer(5)(none).sum().backward()
    assert none.grad is not None
    assert none.grad.shape == none.shape
    maps = drawn(2, 6, 3, 3, dtype=dtype)
    contiguous = maps.detach().contiguous().requires_grad_()
    assert torch.equal(layer(5)(maps), layer(5)(contiguous))
    (expected,) = torch.autograd.grad(layer(5)(maps).sum(), maps)  # its gradient has no memory of its own
    (found,) = torch.autograd.grad(layer(5)(contiguous).sum(), contiguous)
    assert torch.equal(found, expected)


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
    other = lrn.LocalResponseNorm(5, 0.1, 0.6, 2.0, compiled=True)
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


def test_it_is_compiled_once(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lrn_compiled.why_not_compiled() is None
    assert len(list(anew.iterdir())) == len(ROUNDING)
    forget()
    monkeypatch.setattr(compiler, "_load_new", lambda *_: pytest.fail("compiled again"))
    results()


def test_a_damaged_file_is_compiled_again(anew: Path) -> None:
    expected = results()
    files = sorted(anew.iterdir())
    for file in files:
        file.unlink()  # the library is loaded, so it may not be written over
        file.write_bytes(b"damaged")
    forget()
    assert all(map(torch.equal, results(), expected))
    assert sorted(anew.iterdir()) == files
    assert all(file.stat().st_size > 1000 for file in files)


def test_it_needs_no_cache_folder(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    assert lrn_compiled.why_not_compiled() is None
    results()


def test_every_processor_gives_the_same_bits(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = results()
    monkeypatch.setattr(compiler, "INSTRUCTIONS", {})  # only those that every processor of the kind has
    forget()
    assert all(map(torch.equal, results(), here))
    assert len(list(anew.iterdir())) == 2 * len(ROUNDING) or processor.processor_class("cpu") in ("arm", "other")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("no-such-compiler -x", "no-such-compiler: .*No such file"),
        ("false", "false: exit code 1"),
        ("sh -c 'echo one; echo x.c: error: two >&2; exit 3'", "sh: x.c: error: two"),
        ("true", "true: .*cannot open shared object file"),
    ],
)
def test_a_compiler_that_fails(anew: Path, monkeypatch: pytest.MonkeyPatch, command: str, reason: str) -> None:
    monkeypatch.setenv("CC", command)
    with pytest.raises(compiler.NotCompiled, match=reason):
        compiler.load_compiled(lrn_compiled.SOURCE)
    assert lrn_compiled.why_not_compiled()


def test_without_a_compiler_it_is_computed_in_blocks(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "processor_class", lambda _: "avx2")
    assert choose_kernels("cpu") >= {"lrn", "compiled-lrn"}
    forget()
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    assert lrn_compiled.why_not_compiled() == "no C compiler is found (cc, gcc, clang, or $CC)"
    assert "lrn" in choose_kernels("cpu")
    assert "compiled-lrn" not in choose_kernels("cpu")
