"""timm's weights as a file: `timm://resnet18.a1_in1k`."""

from __future__ import annotations

from pathlib import Path

from fer_core.plugin import FerError, write_atomically

from fer_models_misc.timm_backbone.network import check_name, first_line

SCHEME = "timm://"


def fetch(uri: str, cache: Path) -> Path:
    """Download timm's weights of a network, through timm, to a file in the cache.

    Args:
        uri: `timm://` and timm's name, with or without the tag of the weights.
        cache: Folder of downloaded files.

    Returns:
        A safetensors file with timm's names, including the classifier; equal weights give equal bytes.

    Raises:
        FerError: timm does not know the name, has no weights for it, or cannot download them.
    """
    import timm
    from safetensors.torch import save_file

    name = uri.removeprefix(SCHEME)
    check_name(name, uri)
    configured = timm.get_pretrained_cfg(name)
    if configured is None or not configured.has_weights:
        raise FerError(f"{uri}: timm has no weights of {name}: choose a name of `timm.list_pretrained()`")
    architecture = name.partition(".")[0]
    path = cache / f"timm-{architecture}.{configured.tag or 'default'}.safetensors"
    if path.is_file():
        return path
    try:
        network = timm.create_model(name, pretrained=True)
    except Exception as error:  # whatever the hub, the network or the disk raises
        raise FerError(
            f"{uri} cannot be had ({first_line(error)}): connect to the network, or give a downloaded file by "
            "model.backbone_weights"
        ) from error
    state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    write_atomically(path, lambda partial: save_file(state, partial))
    return path
