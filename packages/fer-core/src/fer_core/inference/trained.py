"""A weight file as a module of torch."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from fer_core.engine import Engine
from fer_core.inference.network import Network
from fer_core.inference.predict import logits_of


class TrainedModel(nn.Module):
    """A trained model. Calling it gives logits; `softmax` of them are calibrated where the weights are.

    Args:
        trained: What the weight file holds.

    Attributes:
        network: The model of the family, whose `forward` returns a dict with `logits` and further outputs.
        classes: Class names, in the order of the logits.
        preprocessing: What the model reads: size, mean, standard deviation, channel order and transforms.
        transform: Makes that of an image or several: `model(model.transform([image]))`.
        temperature: What the logits of `network` are divided by; 1 where the weights are not calibrated.
    """

    def __init__(self, trained: Network) -> None:
        super().__init__()
        self.network = trained.model
        self.name = trained.header.model.name
        self.classes = trained.classes
        self.preprocessing = trained.header.preprocessing
        self.transform = trained.pipeline
        self.temperature = trained.temperature

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 [N, C], divided by the temperature.

        Args:
            images: float32 [N, 3, H, W] as `transform` makes them; of several views, [N, V, 3, H, W], the logits
                are averaged.
        """
        return logits_of(self.network, images) / self.temperature

    def extra_repr(self) -> str:
        """What `repr` shows beside the network."""
        return f"{self.name}, {len(self.classes)} classes, input {self.preprocessing.input_size}"


def load_trained(weights: str | Path, device: str, head: str | None) -> TrainedModel:
    """As `fer_core.load_model`, whose arguments these are."""
    return TrainedModel(Network.choose(weights, Engine.start(device, "fp32"), head=head)).eval()
