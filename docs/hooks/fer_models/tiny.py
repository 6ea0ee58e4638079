from torch import nn


class Tiny(nn.Module):
    def __init__(self, info, *, width: int = 16):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, width, 5, stride=4), nn.ReLU())
        self.classifier = nn.Linear(width, info.num_classes)

    def forward(self, images):
        return {"logits": self.classifier(self.features(images).mean((2, 3)))}
