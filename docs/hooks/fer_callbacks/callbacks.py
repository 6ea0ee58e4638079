from fer_core.plugin import Callback


class GiveUp(Callback):
    """Stop a training that has learned nothing in its first epochs."""

    def __init__(self, *, epochs: int = 5, accuracy: float = 0.3):
        self.epochs, self.accuracy = epochs, accuracy

    def on_evaluation(self, training, row):
        if row.epoch >= self.epochs and row.train["accuracy"] < self.accuracy:
            training.stop = f"training accuracy below {self.accuracy:.0%} after {self.epochs} epochs"
