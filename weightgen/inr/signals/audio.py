"""Audio: samples of one or two channels along time, each clip scaled so that its largest is 1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from weightgen.errors import InputError, printable
from weightgen.inr.config import Strict
from weightgen.inr.derivatives import Batch
from weightgen.inr.signals.files import find_files, names_of
from weightgen.inr.signals.grids import Coordinates
from weightgen.inr.signals.kind import Evaluate, Kind, Signal, Suited
from weightgen.training.task import Metric

SUFFIXES = (".wav", ".flac")
MAX_SAMPLES = 1 << 28  # of one file, over its channels: a compressed file of silence can promise any number
QUIET = 1e-12  # power of what counts as nothing
SILENT = 1e-4  # below -80 dB of full scale there is nothing to learn
FULL_SCALE = 127 / 128  # the largest sample of 8 bits, the coarsest that is read
UNKNOWN = 0x7FFF0000  # bytes: a WAV that was written to a pipe says so many, or more
CLIPPED = 0.01  # of the samples at full scale: it sounds distorted


class AudioConfig(Strict):
    """Conventions of audio: values are samples over the largest of their clip."""

    channels: Literal[1, 2] = 1
    rate: int = Field(16_000, ge=1, le=1 << 24)
    """Samples per second."""
    length: int = Field(8192, ge=1, le=MAX_SAMPLES)
    """Samples that the coordinate range covers and that are learned from: a window at random places, judged in the
    middle. A shorter clip covers its part of the range, centred; a longer one that is not cut fills the range."""
    coordinates: Coordinates = Coordinates()


class Audio(Kind):
    """Mono or stereo clips of one sample rate. The metric is the ratio of signal to error, which loudness leaves alone.

    What is drawn is as loud as the recording. Silent clips are refused: any field that is nearly zero would fit them.
    """

    name = "audio"
    metric = Metric("SNR", higher_is_better=True)
    Config = AudioConfig
    suited = Suited({"hidden": 256, "hidden_layers": 2, "first_frequency": 3000, "gain": 2}, 1.0, 1e-4)
    suffixes = SUFFIXES
    inputs, dimensions = 1, 1
    sizes = (1, MAX_SAMPLES)
    read_by = ("channels", "rate")

    def __init__(self, config: AudioConfig) -> None:
        super().__init__(config)
        self.outputs, self.rate, self.length = config.channels, config.rate, config.length
        self.coordinates = config.coordinates

    @classmethod
    def conventions(cls, data: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        found = {f: header(f) for f in find_files(data, SUFFIXES, "audio")}
        shared: dict[str, Any] = {}
        for i, (word, what) in enumerate((("channels", "channels"), ("rate", "samples per second"))):
            first, *others = found
            shared[word] = found[first][i]
            other = next((f for f in others if found[f][i] != shared[word]), None)
            if other is not None and word not in arguments:
                raise InputError(
                    f"{printable(data)}: {printable(first.name)} has {shared[word]} {what}, "
                    f"{printable(other.name)} has {found[other][i]}.\n"
                    "Expected the same of all: convert them first, or keep apart what differs."
                )
        return {**shared, **arguments}

    def load(self, data: str) -> list[Signal]:
        files = find_files(data, SUFFIXES, "audio")
        return [self._read(name, f) for name, f in zip(names_of(files), files, strict=True)]

    def _read(self, name: str, file: Path) -> Signal:
        """Return a clip, its data (samples, channels)."""
        import soundfile

        shown = printable(str(file))
        channels, rate = header(file)
        if channels != self.outputs:
            raise InputError(f"{shown}: has {channels} channels, expected {self.outputs}. Mix or split it first.")
        if rate != self.rate:
            raise InputError(f"{shown}: has {rate} samples per second, expected {self.rate}. Resample it first.")
        try:
            with soundfile.SoundFile(file) as opened:
                samples, told = opened.read(dtype="float32", always_2d=True), opened.extra_info
        except (soundfile.SoundFileError, OSError, MemoryError) as error:
            raise InputError(f"{shown}: cannot be read ({_reason(error)})") from error
        short = re.search(r"^data : (\d+) \(should be (\d+)\)", told, re.M)  # of WAV: the library reads what is there
        if short and int(short[1]) < UNKNOWN:
            raise InputError(f"{shown}: is cut short: {short[1]} bytes of samples were promised, {short[2]} are there")
        top = float(np.abs(samples).max(initial=0.0))
        if not top <= 1:  # NaN as well
            raise InputError(f"{shown}: has samples up to {top:g}, expected them in [-1, 1]. Normalise it first.")
        if top < SILENT:
            raise InputError(f"{shown}: is silent (no sample above {SILENT:g}). Leave it out.")
        full = float((np.abs(samples) >= FULL_SCALE).mean())
        clipped = f"{full:.0%} of its samples are at full scale: it is clipped, and so is the fit"
        return Signal(name, torch.from_numpy(samples / top), top, clipped if full > CLIPPED else None)

    def count(self, signal: Signal) -> int:
        return len(signal.data)

    def observe(self, signal: Signal, which: Tensor | None = None, generator: torch.Generator | None = None) -> Batch:
        places = self.coordinates.along(len(signal.data), max(len(signal.data), self.length)).unsqueeze(-1)
        if which is None:
            return {"coordinates": places, "values": signal.data}
        return {"coordinates": places[which], "values": signal.data[which]}

    def augmented(self, signal: Signal, generator: torch.Generator) -> Signal:
        spare = max(0, len(signal.data) - self.length)
        return self._cut(signal, int(torch.randint(spare + 1, (), generator=generator)))

    def standard(self, signal: Signal) -> Signal:
        return self._cut(signal, max(0, len(signal.data) - self.length) // 2)

    def _cut(self, signal: Signal, first: int) -> Signal:
        return replace(signal, data=signal.data[first : first + self.length])

    def score(self, evaluate: Evaluate, batch: Batch) -> Tensor:
        """Return each task's ratio of signal to error, (T,), in dB, of unclipped values: 0 for a field that is zero."""
        values = batch["values"]
        error = (evaluate(batch["coordinates"]) - values).square().mean((1, 2))
        return 10 * torch.log10(values.square().mean((1, 2)).clamp_min(QUIET) / error.clamp_min(QUIET))

    def shape(self, signal: Signal) -> list[int]:
        return [len(signal.data)]

    def render(self, evaluate: Evaluate, shape: Sequence[int], size: int | None = None) -> np.ndarray:
        """Return samples (N, channels), clipped to [-1, 1]; `size` of them stand for the same seconds."""
        (count,) = shape
        size = size or count
        places = self.coordinates.along(size, round(max(count, self.length) * size / count))
        return np.asarray(evaluate(places.view(1, -1, 1))[0].clamp(-1, 1).float().cpu())

    def save(self, rendered: np.ndarray, scratch: Path, shape: Sequence[int]) -> None:
        """Write 16 bits, at the rate at which the samples last as long as those of the signal's shape."""
        import soundfile

        # In whole numbers, because float samples are scaled by 32767 in writing and by 32768 in reading.
        samples = np.rint(rendered * 32768.0).clip(-32768, 32767).astype(np.int16)
        rate = max(1, round(self.rate * len(samples) / shape[0]))
        with scratch.open("wb") as file:
            soundfile.write(file, samples, rate, subtype="PCM_16", format=scratch.suffix[1:].upper())


def header(file: Path) -> tuple[int, int]:
    """Return a file's channels and samples per second; raises InputError for what is no usable audio."""
    import soundfile

    shown = printable(str(file))
    try:
        info = soundfile.info(file)
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"{shown}: is no audio that can be read ({_reason(error)})") from error
    if info.channels not in (1, 2):
        raise InputError(f"{shown}: has {info.channels} channels, expected 1 or 2. Mix it first.")
    if info.frames == 0:
        raise InputError(f"{shown}: holds no samples. Leave it out.")
    if info.frames * info.channels > MAX_SAMPLES:
        raise InputError(f"{shown}: promises {info.frames} samples, expected at most {MAX_SAMPLES}. Cut it first.")
    return info.channels, info.samplerate


def _reason(error: BaseException) -> str:
    return printable(str(getattr(error, "error_string", error)))  # the library's message repeats the path
