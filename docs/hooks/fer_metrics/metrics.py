import numpy as np


def kappa(labels, probabilities):
    """Cohen's kappa: 1 for perfect agreement, 0 for that of chance."""
    predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    shares = [np.bincount(each, minlength=classes) / len(labels) for each in (labels, predicted)]
    agreement, chance = (predicted == labels).mean(), np.dot(*shares)
    return (agreement - chance) / (1 - chance) if chance < 1 else 0.0
