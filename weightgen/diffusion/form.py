"""The form of checkpoints that existed: file, config and scales by which their own library reads a network again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from weightgen.errors import InputError, printable
from weightgen.models.tensorfile import Entry, read_header
from weightgen.reading.json_files import read_json

ADAPTER_CONFIG, CONFIG = "adapter_config.json", "config.json"
BASE = "base_model_name_or_path"
WHO = {
    "peft": ("lora_alpha", BASE, "revision", "inference_mode", "peft_version", "lora_dropout"),
    "config": ("_name_or_path", "transformers_version", "_diffusers_version", "dtype", "torch_dtype"),
}
"""What two configs of one form may differ in: the scale, which is evened out, who wrote them, and how they trained."""
ALPHA, PEFT = ".alpha", "base_model."
UPS = (".lora_up.weight", ".lora.up.weight", ".lora_B.weight", ".lora_B.bias", ".lora_embedding_B")
FORMAT: Literal["weightgen-form"] = "weightgen-form"
File = Literal[
    "adapter_model.safetensors",
    "pytorch_lora_weights.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.safetensors",
]


class Form(BaseModel):
    """What the checkpoints of a folder share besides the names and shapes of their tensors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: Literal["weightgen-form"] = FORMAT
    library: Literal["peft", "diffusers", "kohya", "config", "none"] = "none"
    """Who reads them: peft, diffusers' and kohya's LoRA files, a model with its config.json, nobody that is known."""
    file: File = "model.safetensors"
    config_name: Literal["adapter_config.json", "config.json"] | None = None
    config: dict[str, Any] | None = None
    metadata: dict[str, str] = {}
    """Of the file's header."""
    constants: dict[str, float] = {}
    """LoRA scales that stand among the tensors, `NAME.alpha`: alike for all, and so nothing to generate."""

    def load_line(self, name: str) -> str:
        """Return a line of Python that reads a network of this form from a directory."""
        if self.library == "peft":
            return f"peft.PeftModel.from_pretrained(model, {name!r})"
        if self.library in ("diffusers", "kohya"):
            return f"pipeline.load_lora_weights({name!r}, weight_name={self.file!r})"
        return f"safetensors.torch.load_file({name + '/' + self.file!r})"


def read_form(values: Any, where: str) -> Form:
    """Return a form that `json` read; raises InputError naming the field that is wrong."""
    try:
        return Form.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{printable(where)}: {printable('.'.join(map(str, first['loc'])))}: {first['msg'].lower()}"
        ) from error


def form_of(files: Sequence[Path]) -> Form:
    """Return the form that all files share; raises InputError for the first that has another than the first one."""
    first = _form(files[0])
    based = files[0], _base(first)
    for file in files[1:]:
        other = _form(file)
        for what in ("library", "config_name", "metadata", "constants", "config"):
            ours, theirs = (_comparable(what, form) for form in (first, other))
            if ours != theirs:
                _refuse(file, _difference(what, ours, theirs), files[0])
        if based[1] and _base(other) and _base(other) != based[1]:
            _refuse(file, f"config '{BASE}' ({printable(_base(other))})", based[0])
        based = based if based[1] else (file, _base(other))
    return first


def evened(tensors: Mapping[str, Tensor], file: Path, form: Form) -> dict[str, Tensor]:
    """Return a checkpoint's tensors without constants, scaled so that they mean the same under the form's scales.

    A LoRA changes a weight by alpha / rank times up @ down, so that its ups take the quotient of two alphas.
    """
    own = _form(file)
    found = {name: tensor for name, tensor in tensors.items() if name not in form.constants}
    for name, value in form.constants.items():
        if own.constants[name] != value and not any(name.removesuffix(ALPHA) + up in found for up in UPS):
            raise InputError(
                f"{printable(str(file))}: '{printable(name)}' is {own.constants[name]:g}, in others it is {value:g}.\n"
                "Only LoRAs with ups and downs can be given another alpha: leave it out."
            )
    for name, tensor in found.items():
        stem = next((name.removesuffix(up) for up in UPS if name.endswith(up)), None)
        if stem is None:
            continue
        scale = own.constants[stem + ALPHA] / form.constants[stem + ALPHA] if stem + ALPHA in form.constants else 1.0
        if form.library == "peft":
            scale = _peft_alpha(own, file) / _peft_alpha(form, file)
        found[name] = tensor if scale == 1 else tensor * scale
    return found


def _refuse(file: Path, what: str, first: Path) -> NoReturn:
    raise InputError(
        f"{printable(str(file))}: its {what} is not that of {printable(str(first))}.\n"
        "A weights dataset holds networks of one form: leave it out."
    )


def _base(form: Form) -> str:
    """The model that an adapter is for, without where it lies; empty where that is not said."""
    found = (form.config or {}).get(BASE) if form.library == "peft" else None
    return found.rstrip("/").rpartition("/")[2] if isinstance(found, str) else ""


def _form(file: Path) -> Form:
    entries, metadata = read_header(file)
    if file.with_name(ADAPTER_CONFIG).is_file() and file.name == "adapter_model.safetensors":
        config = read_json(file.with_name(ADAPTER_CONFIG))
        form = Form(library="peft", file=file.name, config_name=ADAPTER_CONFIG, config=config)
        _peft_alpha(form, file)
        return form
    constants = {name: _constant(file, name) for name in entries if _is_alpha(name, entries)}
    told = {key: value for key, value in metadata.items() if key == "lora_adapter_metadata"}
    if any(name.startswith("lora_") and name.endswith(".lora_down.weight") for name in entries):
        return Form(library="kohya", file="pytorch_lora_weights.safetensors", metadata=told, constants=constants)
    if any(name.endswith(UPS) and not name.startswith(PEFT) for name in entries):
        return Form(library="diffusers", file="pytorch_lora_weights.safetensors", metadata=told, constants=constants)
    beside = file.with_name(CONFIG)
    if file.name in ("model.safetensors", "diffusion_pytorch_model.safetensors") and beside.is_file():
        return Form(library="config", file=file.name, config_name=CONFIG, config=read_json(beside), metadata=told)
    return Form(metadata=told, constants=constants)


def _is_alpha(name: str, entries: Mapping[str, Entry]) -> bool:
    """Whether a tensor is a scale of a LoRA, or of LyCORIS' products: one number beside them."""
    if not name.endswith(ALPHA) or math.prod(entries[name].shape) != 1:
        return False
    stem = name.removesuffix(ALPHA)
    return any(stem + up in entries for up in UPS) or any(
        n.startswith((stem + ".hada_", stem + ".lokr_")) for n in entries
    )


def _constant(file: Path, name: str) -> float:
    from safetensors import safe_open

    with safe_open(file, "pt") as stored:
        value = float(stored.get_tensor(name).reshape(()))
    if not math.isfinite(value) or value == 0:
        raise InputError(f"{printable(str(file))}: '{printable(name)}' is {value:g}, expected a scale other than zero")
    return value


def _peft_alpha(form: Form, file: Path) -> float:
    found = (form.config or {}).get("lora_alpha", 8)
    try:
        value = float(found) if isinstance(found, int | float) and not isinstance(found, bool) else math.nan
    except OverflowError:
        value = math.nan
    if not math.isfinite(value) or value == 0:
        raise InputError(
            f"{printable(str(file.with_name(ADAPTER_CONFIG)))}: expected a number other than zero for lora_alpha, "
            f"found {printable(json.dumps(found), 40)}"
        )
    return value


def _comparable(what: str, form: Form) -> Any:
    found = getattr(form, what)
    if what == "constants":
        return sorted(found)  # their values are evened out
    if what != "config" or found is None:
        return found
    free = set(WHO[form.library])
    if form.library != "peft":
        return {key: value for key, value in found.items() if key not in free}
    if found.get("alpha_pattern"):
        free.remove("lora_alpha")  # which then is not the scale of all
    # What is not said is off, and the order of names says nothing: peft writes sets.
    told = {key: value for key, value in found.items() if value and key not in free}
    return {key: sorted(value, key=str) if isinstance(value, list) else value for key, value in told.items()}


def _difference(what: str, ours: Any, theirs: Any) -> str:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        key = next(k for k in sorted({*ours, *theirs}) if ours.get(k) != theirs.get(k))
        return f"{what} '{printable(key)}'"
    return {"library": f"kind ({theirs})", "constants": "set of alphas"}.get(what, what)
