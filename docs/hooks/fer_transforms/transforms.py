from fer_core.plugin import Transform


class Invert(Transform):
    """The negative of some images."""

    pixels = True  # of values in 0..1, before `normalize`

    def __init__(self, preprocessing, *, p: float = 0.5):
        self.p = p

    def batch(self, images, rng):
        chosen = (rng.uniform() < self.p).to(images.device)
        return (images - chosen[:, :, None, None].float()).abs()
