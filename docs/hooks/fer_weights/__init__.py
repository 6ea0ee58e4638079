from fer_core.plugin import WeightsSpec, hookimpl


@hookimpl
def fer_weights():
    return [
        WeightsSpec(
            name="dan-office",
            model="dan",
            file="https://example.org/dan-office.safetensors",
            sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            card="my_plugin:dan-office.json",
            summary="DAN, trained on faces of actors",
        )
    ]
