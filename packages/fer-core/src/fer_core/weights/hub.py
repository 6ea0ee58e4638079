"""Files of the Hugging Face Hub by address: `hf://OWNER/NAME[@REVISION][/FILE]`."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from fer_core.cache import cache_root
from fer_core.errors import FerError, one_line
from fer_core.weights.download import in_bytes

logger = logging.getLogger(__name__)
USUAL = "model.safetensors"
"""What the Hub calls the weights of a repository."""
_FORM = re.compile(r"hf://([^/@]+/[^/@]+)(?:@([^/]+))?(?:/(.+))?")


def download_from_hub(address: str) -> Path:
    """A file of a repository, from the cache where it is there.

    A branch stays what it was when the file was first downloaded; a commit or a tag as the revision says which.

    Raises:
        FerError: The address has another form, `huggingface_hub` is not installed, or it gives no such file.
    """
    match = _FORM.fullmatch(address)
    if match is None:
        raise FerError(f"{address} is not an address of the Hub: write hf://OWNER/NAME@REVISION/FILE")
    repository, revision, file = match[1], match[2], match[3] or USUAL
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
    except ImportError as error:
        raise FerError(f"{address} needs huggingface_hub: pip install 'fer-core[hub]'") from error
    folder = cache_root() / "hub"
    try:
        known = try_to_load_from_cache(repository, file, cache_dir=folder, revision=revision)
        if isinstance(known, str):
            return Path(known)
        url = hf_hub_url(repository, file, revision=revision)
        size = in_bytes(get_hf_file_metadata(url).size)
        logger.info(f"licence  see {url.partition('/resolve/')[0]}")
        logger.info(f"address  {url}, {size}")
        return Path(hf_hub_download(repository, file, revision=revision, cache_dir=folder))
    except Exception as error:  # whatever the Hub, the network or the disk raises
        raise FerError(
            f"cannot download {address} ({_first_line(error)}): correct the address, connect to the network, or "
            "download the file by hand, and name it"
        ) from error


def _first_line(error: Exception) -> str:
    return one_line((str(error).strip() or type(error).__name__).partition("\n")[0]).rstrip(".:")
