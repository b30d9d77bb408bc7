"""The tour: six steps over the real app, as data. Each describes what to do, and has the keys that do it."""

from __future__ import annotations

from dataclasses import dataclass

PRESET = "paper"  # the texts are about this preset


@dataclass(frozen=True)
class TourStep:
    """A step: what the user sees, and what to try.

    `do` are keys for the pane that the selector `pane` finds, or actions of the app, with parentheses.
    """

    title: str
    text: str
    do: tuple[str, ...]
    pane: str = "#layers"


CONV1 = "home"
STRIDE = ("down", "down")  # from the first setting of conv1 to its stride

STEPS: tuple[TourStep, ...] = (
    TourStep(
        "a row is a layer",
        "The table is the network, from the image to the 1000 classes. ↓ and ↑ go through it, and the picture (v) "
        "follows. Read conv1: 96 kernels of 11×11 make 96 maps of 55×55.",
        (CONV1, "down", "down", "down", "down"),
    ),
    TourStep(
        "its arithmetic",
        "Below the table, each number of the selected layer is written out with the sizes in it. Go to another layer "
        "and see how it changes. ? lists the words: MACs, receptive field, jump.",
        (CONV1, "down", "down", "down", "down"),
    ),
    TourStep(
        "change something",
        "Press ⏎ on conv1, go to stride with ↓, type 2, and keep it with ⏎. While you type, ▲ and ▼ mark every number "
        "that your change moves; backslash shows or hides the marks later.",
        (CONV1, "enter", *STRIDE, "2", "enter"),
    ),
    TourStep(
        "break it, fix it, take it back",
        "A stride of 99 leaves too little for the pools. The broken layer says why, and f makes the smallest change "
        "that fixes it. u takes edits back, one by one.",
        (CONV1, "enter", *STRIDE, "9", "9", "enter", "f", "u", "u", "u"),
    ),
    TourStep(
        "beside another network",
        "d puts another preset beside this one. torchvision's AlexNet, for example, is not the paper's: it has fewer "
        "kernels, one tower, and no normalisation.",
        ("compare_with('torchvision')",),
    ),
    TourStep(
        "train",
        "t sets up a training of the network in Explore. fmnist-28 learns Fashion-MNIST on a processor: an epoch takes "
        "a minute or so. The form says what is missing before it starts; F5 starts it. It goes on when you close the "
        "app.",
        ("train_preset('fmnist-28', 1)",),
    ),
)


class Tour:
    """The current step of the tour."""

    def __init__(self) -> None:
        self.index = 0
        self.performing = False

    @property
    def step(self) -> TourStep:
        """The step that is shown."""
        return STEPS[self.index]

    @property
    def is_last(self) -> bool:
        """Whether this is the last step."""
        return self.index == len(STEPS) - 1

    @property
    def title(self) -> str:
        """The number and the title of the step."""
        return f"Tour {self.index + 1} of {len(STEPS)} · {self.step.title}"

    def go(self, steps: int) -> bool:
        """Go to a later or an earlier step; return whether there is one."""
        index = self.index + steps
        if not 0 <= index < len(STEPS):
            return False
        self.index = index
        return True
