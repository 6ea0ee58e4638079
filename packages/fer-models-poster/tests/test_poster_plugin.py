from __future__ import annotations

from fer_core.testing import check_plugin


def test_everything_the_plugin_names_is_there():
    (plugin,) = check_plugin("fer-models-poster")
    assert plugin.name == "models_poster"
