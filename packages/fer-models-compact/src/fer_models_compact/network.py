"""A compact residual network for small grey faces."""

from __future__ import annotations

from collections.abc import Sequence

from fer_core.plugin import FerError, Output, ResidualBlock, TaskInfo
from torch import Tensor, nn

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value (ITU-R BT.601), as in PIL's mode L."""
EPSILON = 1e-3
"""Added to the standard deviation of a face, so that an image of one colour stays finite."""


class Compact(nn.Module):
    """Residual blocks of dense 3x3 convolutions on the standardised grey image, and a linear layer for each head.

    Args:
        info: The task; each extra target gets a head.
        widths: Channels of the stages, each of which halves height and width; the stem has half of the first.
        dropout: Probability with which a pooled feature is dropped in training.

    Raises:
        FerError: `widths` is empty or has a number below 2, or `dropout` is outside [0, 1).
    """

    def __init__(
        self, info: TaskInfo, *, widths: tuple[int, ...] = (64, 128, 256, 384), dropout: float = 0.2
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 2:
            raise FerError(f"model.widths is {list(widths)}: give the channels of the stages, 2 or more each")
        if not 0 <= dropout < 1:
            raise FerError(f"model.dropout is {dropout}: give a probability in [0, 1)")
        self.body = _build_body(widths)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(widths[-1], info.num_classes)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(widths[-1], len(classes) or 1) for name, classes in info.targets.items()}
        )
        self.numbers = frozenset(name for name, classes in info.targets.items() if not classes)
        self.apply(_init)

    def forward(self, images: Tensor) -> Output:
        """Classify images [N, 3, H, W].

        Returns:
            `logits` [N, C]; for each extra target `head_NAME`, logits [N, K] of classes or numbers [N].
        """
        features = self.dropout(self.body(standardize(images)).mean((2, 3)))
        outputs = {"logits": self.classifier(features)}
        for name, head in self.heads.items():
            output = head(features)
            outputs[f"head_{name}"] = output[:, 0] if name in self.numbers else output
        return outputs


def standardize(images: Tensor) -> Tensor:
    """Grey images [N, 1, H, W] with mean 0 and standard deviation 1 each, of RGB images [N, 3, H, W].

    Whatever is constant over an image, such as its exposure, has no influence.
    """
    weights = images.new_tensor(LUMA).view(1, 3, 1, 1)
    grey = (images * weights).sum(1, keepdim=True)
    grey = grey - grey.mean((2, 3), keepdim=True)
    return grey / (grey.square().mean((2, 3), keepdim=True).sqrt() + EPSILON)


def _build_body(widths: Sequence[int]) -> nn.Sequential:
    stem = widths[0] // 2
    parts: list[nn.Module] = [
        nn.Conv2d(1, stem, 3, padding=1, bias=False),
        nn.BatchNorm2d(stem),
        nn.ReLU(inplace=True),
    ]
    inputs = stem
    for width in widths:
        parts.append(ResidualBlock(inputs, width, 2))
        inputs = width
    return nn.Sequential(*parts)


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)
