from torch.optim.lr_scheduler import LinearLR


def linear(optimizer, *, total, per_epoch, end: float = 0.0):
    return LinearLR(optimizer, 1.0, end, total_iters=total)
