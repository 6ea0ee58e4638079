from fer_core.plugin import hookimpl


@hookimpl
def fer_optimizers():
    return {"rmsprop": "torch.optim:RMSprop"}
