import torch
from fer_core.plugin import Device


class Xpu(Device):
    torch_name = "xpu"
    backend = "cpu:gloo,xpu:xccl"
    priority = 15

    def missing(self):
        return None if torch.xpu.is_available() else "torch sees no Intel GPU"

    def native_precisions(self):
        return ("bf16", "fp16", "fp32")
