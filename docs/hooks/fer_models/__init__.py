from fer_core.plugin import ModelSpec, hookimpl


@hookimpl
def fer_models():
    return [
        ModelSpec(
            name="tiny",
            factory="my_plugin.tiny:Tiny",
            recipes={"default": "my_plugin:tiny.yaml"},
            summary="One convolution, to start from",
            paper="",
            licence="MIT",
            upstream="https://example.org/tiny",
        )
    ]
