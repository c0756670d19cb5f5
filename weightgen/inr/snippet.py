"""The few lines that evaluate a field with torch and safetensors alone, for model cards."""

from __future__ import annotations

import json

from weightgen.inr.config import FieldConfig

ACTIVATIONS = {
    "sine": "torch.sin({w} * z)",
    "finer": "torch.sin({w} * (z.abs() + 1) * z)",
    "gauss": "torch.exp(-({s} * z) ** 2)",
    "wire": "torch.exp(1j * {w} * z - ({s} * z).abs() ** 2)",
    "relu": "torch.relu(z)",
}


def snippet(config: FieldConfig, directory: str) -> str:
    """Return Python that defines `field(x)`, from coordinates (N, inputs) to values (N, outputs)."""
    layers, wire = config.hidden_layers, config.activation == "wire"
    lines = [
        *(["import math"] if config.encoding.two_pi and config.encoding.kind != "none" else []),
        "import torch",
        "from safetensors.torch import load_file",
        "",
        f"w = load_file({json.dumps(directory + '/model.safetensors')})",
        "",
        "",
        "def layer(i, x):",
    ]
    if wire:
        lines += [
            '    weight, bias = w[f"net.{i}.weight"], w[f"net.{i}.bias"]',
            "    if i:  # complex, as pairs of real numbers",
            "        weight, bias = torch.view_as_complex(weight), torch.view_as_complex(bias)",
            "    return x.to(weight.dtype) @ weight.T + bias",
        ]
    else:
        lines += ['    return x @ w[f"net.{i}.weight"].T + w[f"net.{i}.bias"]']
    lines += ["", "", "def field(x):", *_encoding(config)]
    first, later = (
        ACTIVATIONS[config.activation].format(w=_number(omega), s=_number(config.spread))
        for omega in (config.first_frequency, config.frequency)
    )
    if layers and first == later:
        lines += [f"    for i in range({layers}):", "        z = layer(i, x)", f"        x = {first}"]
    elif layers:
        lines += ["    z = layer(0, x)", f"    x = {first}"]
        if layers > 1:
            lines += [f"    for i in range(1, {layers}):", "        z = layer(i, x)", f"        x = {later}"]
    value = f"layer({layers}, x)" + (".real" if wire and layers else "")
    value += f" + {_number(config.offset)}" if config.offset else ""
    lines += [f"    return torch.sigmoid({value})" if config.output == "sigmoid" else f"    return {value}"]
    return "\n".join(lines)


def _encoding(config: FieldConfig) -> list[str]:
    encoding, factor = config.encoding, "2 * math.pi * " if config.encoding.two_pi else ""
    if encoding.kind == "none":
        return []
    if encoding.kind == "fourier":
        phases = [f'    p = {factor}x @ w["encoding.B"].T']
    else:
        octaves = f"torch.linspace(0, {_number(encoding.scale)}, {encoding.size})"
        phases = [f"    p = {factor}(x[:, None] * torch.exp2({octaves})[:, None]).flatten(1)"]
    return [*phases, "    x = torch.cat([torch.sin(p), torch.cos(p)], -1)"]


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")
