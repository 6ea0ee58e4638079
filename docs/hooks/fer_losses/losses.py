from fer_core.plugin import Loss, at_least_float32
from torch.nn import functional as F


class Focal(Loss):
    def __init__(self, info, *, gamma: float = 2.0):
        super().__init__()
        self.gamma = gamma

    def from_output(self, output, batch, progress):
        logits = at_least_float32(output["logits"])
        entropy = F.cross_entropy(logits, batch["label"], reduction="none")
        return {"loss": ((1 - (-entropy).exp()) ** self.gamma * entropy).mean(), "logits": logits}
