"""Check that the random networks have what other tests need: enough layers, weights and branches."""

from __future__ import annotations

from statistics import mean

from hypothesis import Phase, given, seed, settings

from alexplore.network.analysis import analyse
from alexplore.network.graph import Network
from alexplore.network.layers import EDITABLE_TYPES
from tests.support.networks import networks

DRAWS = 120
KINDS = ((True, False), (False, True))  # layers that slide over maps, and linear ones


def drawn(*, working: bool) -> list[Network]:
    """Return networks, the same at every run."""
    found: list[Network] = []

    @seed(3)
    @settings(max_examples=DRAWS, deadline=None, database=None, phases=[Phase.generate])
    @given(networks(working=working))
    def note(network: Network) -> None:
        found.append(network)

    note()
    return found


def share(found: list[bool]) -> float:
    return sum(found) / len(found)


def test_working_networks() -> None:
    found = drawn(working=True)
    analyses = [analyse(network) for network in found]
    assert not [analysis.broken.error for analysis in analyses if analysis.broken]
    lengths = [len(network.layers) for network in found]
    assert min(lengths) == 4 and max(lengths) == 12 and 6 <= mean(lengths) <= 10
    assert share([analysis.totals.params > 0 for analysis in analyses]) > 0.85
    assert 0.25 < share([not network.is_chain for network in found]) < 0.5
    assert {layer.type for network in found for layer in network.layers} == set(EDITABLE_TYPES)


def test_broken_networks() -> None:
    found = drawn(working=False)
    assert 0.3 < share([analyse(network).broken is not None for network in found]) < 0.7
    rows = [row for network in found for row in analyse(network).rows if row.error]
    wrong = {(row.layer.slides, row.layer.type == "linear", len(row.inputs[0])) for row in rows}
    slides_over, linear_reads = ({dims for slides, linear, dims in wrong if (slides, linear) == kind} for kind in KINDS)
    assert slides_over == {1, 3}  # vectors, and maps that are too small
    assert linear_reads == {1, 3}  # vectors of another length, and maps
    assert any(len(row.inputs) > 1 for row in rows)
