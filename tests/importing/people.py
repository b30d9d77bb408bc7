"""Networks as people write them, and mistakes as people make them. Tests import this file as a SOURCE."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

print("people.py runs")  # as scripts do


class Functional(nn.Module):
    """AlexNet on one GPU, with a functional forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, 4, 3)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1)
        self.fc1 = nn.Linear(256 * 6 * 6, 4096)
        self.fc2 = nn.Linear(4096, 4096)
        self.fc3 = nn.Linear(4096, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), (3, 3), 2)
        x = F.relu(self.conv3(x))
        x = F.relu(self.conv4(x))
        x = F.max_pool2d(F.relu(self.conv5(x)), kernel_size=3, stride=2)
        x = x.view(-1, self.num_flat_features(x))
        x = F.dropout(F.relu(self.fc1(x)), training=self.training)
        x = F.dropout(F.relu(self.fc2(x)), training=self.training)
        out: Tensor = self.fc3(x)
        return out

    def num_flat_features(self, x: Tensor) -> int:
        features = 1
        for size in x.size()[1:]:
            features *= size
        return features


def convolutions(channels: int, padding: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, 96, 11, 4, padding), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(384, 384, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2),
    ]  # fmt: skip


def sequential() -> nn.Module:
    """Return the same without dropout, as one Sequential."""
    return nn.Sequential(
        *convolutions(3, 3),
        nn.Flatten(),
        *(nn.Linear(256 * 6 * 6, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)),
    )


class TwoParts(nn.Module):
    """The tutorials' network for Fashion-MNIST, in two parts."""

    def __init__(self, padding: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(*convolutions(1, padding))
        self.fc = nn.Sequential(
            nn.Linear(256 * 5 * 5, 4096), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(4096, 10),
        )  # fmt: skip

    def forward(self, img: Tensor) -> Tensor:
        feature = self.conv(img)
        output: Tensor = self.fc(feature.view(img.shape[0], -1))
        return output


class Block(nn.Module):
    """A residual block with a projection where it needs one."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        result: Tensor = self.relu(out)
        return result


class Gate(nn.Module):
    """Squeeze and excitation, by convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.expand(F.silu(self.reduce(x.mean((2, 3), keepdim=True)))))
        return x * gate.expand_as(x)


class Residual(nn.Module):
    """A ResNet for small images: a ModuleList, blocks, a gate, a pool as large as its input."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.blocks = nn.ModuleList([Block(16, 16, 1), Block(16, 32, 2), Gate(32), Block(32, 32, 1)])
        self.linear = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = F.avg_pool2d(x, x.size()[2:])
        return F.log_softmax(self.linear(x.flatten(1)), dim=-1)


class Squeezed(nn.Module):
    """Channels scaled by a gate, with the sizes of the vectors and maps spelled out; maps made of a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Sequential(nn.Linear(8, 2, bias=False), nn.ReLU(), nn.Linear(2, 8, bias=False), nn.Sigmoid())
        self.vector = nn.Linear(8, 4 * 5 * 6)
        self.maps = nn.Conv2d(4, 2, 3)
        self.last = nn.Linear(2 * 3 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        batch, channels, _, _ = x.size()
        gate = self.gate(self.pool(x).view(batch, channels)).view(batch, channels, 1, 1)
        x = (x * gate.expand_as(x)).flatten(2).mean(-1)
        x = self.maps(self.vector(x).unflatten(1, (4, 5, 6)))
        found: Tensor = self.last(x.reshape(batch, -1))
        return found


class Dense(nn.Module):
    """Each convolution reads the outputs of all before it."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3 + 8 * i, 8, 3, padding=1, padding_mode="reflect") for i in range(3)])
        self.out = nn.Linear(27, 10)

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for conv in self.convs:
            found.append(F.leaky_relu(conv(torch.cat(found, 1)), 0.1))
        logits: Tensor = self.out(torch.cat(found, dim=-3).mean([-2, -1]))
        return logits.softmax(1)


class Configured(nn.Module):
    """Layers by a dictionary of settings, branches that are added in place, a label that only training gives."""

    def __init__(self, plan: dict[str, Any] | None = None) -> None:
        super().__init__()
        plan = plan or {"widths": [8, "pool", 12], "classes": 6}
        layers: list[nn.Module] = []
        channels = 3
        for width in plan["widths"]:
            if width == "pool":
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [
                nn.Conv2d(channels, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        self.net = nn.ModuleDict({"body": nn.Sequential(*layers), "head": nn.LazyLinear(plan["classes"])})
        self.left, self.right = nn.Conv2d(channels, 4, 1), nn.Conv2d(channels, 4, 3, padding="same")

    def forward(self, images: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        images = self.net["body"](images)
        both = self.left(images)
        both += self.right(images)
        answer = {"logits": self.net["head"](torch.flatten(both, start_dim=1))}
        if labels is not None:
            answer["loss"] = F.cross_entropy(answer["logits"], labels)
        return answer


class OldNorm(nn.Module):
    """Local response normalisation as it was written before PyTorch had it."""

    def __init__(self, size: int, across: bool = True) -> None:
        super().__init__()
        half = (size - 1) // 2
        self.across = across
        self.average: nn.Module = nn.AvgPool2d(size, stride=1, padding=half)
        if across:
            self.average = nn.AvgPool3d((size, 1, 1), stride=1, padding=(half, 0, 0))

    def forward(self, x: Tensor) -> Tensor:
        div = x.pow(2)
        div = self.average(div.unsqueeze(1)).squeeze(1) if self.across else self.average(div)
        return x.div(div.mul(1e-2).add(1.0).pow(0.75))


class Norms(nn.Module):
    """The normalisation in four spellings, asymmetric padding, squeezes."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(3, 8, 4), nn.LocalResponseNorm(4, alpha=1e-2, k=2.0),
            OldNorm(5), OldNorm(3, across=False), nn.Hardtanh(0, 6), nn.AdaptiveMaxPool2d((1, 1)),
        )  # fmt: skip
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.local_response_norm(self.features(x), 3, alpha=0.1)
        out: Tensor = self.fc(x.squeeze(3).squeeze(2))
        return out


class Shared(nn.Module):
    """A convolution that is used twice, an operator without a layer type, and a layer that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Linear(192, 10)
        self.scale = nn.Parameter(torch.ones(10))
        self.spare = nn.Linear(7, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(x, 8)
        x = self.relu(self.conv(x))
        x = self.relu(self.conv(x))
        x = x.permute(0, 2, 3, 1)
        out: Tensor = self.fc(x.reshape(len(x), -1)) * self.scale
        return out


class Tied(nn.Module):
    """Two linear layers with one weight, parts of a network under a second name, and a frozen part that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(9, 9))
        self.features = nn.Sequential(*list(self.backbone.children())[:-1])
        self.backbone[3].requires_grad_(False)
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(self.first(self.features(x).mean((2, 3))))
        return out


class Prints(nn.Module):
    """A network that prints while it runs, and needs images of 1×20×20."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(400, 10)

    def forward(self, x: Tensor) -> Tensor:
        print("the shape is", x.shape)
        out: Tensor = self.fc(x.view(-1, 400))
        return out


class Arguments(nn.Module):
    """A network that needs arguments."""

    def __init__(self, width: int, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, width, 3), nn.Flatten(), nn.LazyLinear(classes))

    def forward(self, x: Tensor) -> Any:
        return self.layers(x)


class TwoInputs(nn.Module):
    """A network of two images."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


class TwoOutputs(nn.Module):
    """A network with two heads."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.relu(), x.tanh()


class Fails(nn.Module):
    """A network whose forward pass fails."""

    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("not today")


class Branches(nn.Module):
    """Does something else for bright images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(x) if x.sum() > 0 else self.conv(-x)
        return found


class FailsAtOnce(nn.Module):
    """A network that can't be made."""

    def __init__(self) -> None:
        raise KeyError("weights.pth")


class PartlyScripted(nn.Module):
    """A network of which a part is compiled to TorchScript."""

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated
            self.body = torch.jit.script(nn.Conv2d(3, 4, 3))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(x)
        return found


class Scalar(nn.Module):
    """A network that returns its loss."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean()


class Nothing(nn.Module):
    """A network that does nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return x


made = nn.Sequential(nn.Conv2d(1, 4, 5), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 24 * 24, 10))
number = 3
