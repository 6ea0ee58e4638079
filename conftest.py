"""Tests see the settings of a plain installation, whatever those of the one who runs them."""

import os

for _name in ("FER_DEBUG", "FER_DISABLE_PLUGINS", "FER_STRICT"):
    os.environ.pop(_name, None)
