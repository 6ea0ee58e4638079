import copy

import torch
from fer_core.plugin import Trainer


class MeanTeacher(Trainer):
    def __init__(self, setup, *, decay: float = 0.999):
        super().__init__(setup)
        self.decay = decay
        self.teacher = self.add_module("teacher", copy.deepcopy(self.model).requires_grad_(False))

    @torch.no_grad()
    def after_step(self, progress):
        for mean, weight in zip(self.teacher.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(weight, 1 - self.decay)

    def product_model(self):
        return self.teacher
