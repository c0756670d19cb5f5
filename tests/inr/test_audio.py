"""Audio as signals: files, coordinates, scores, and what is refused."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.inr.fields import agree_in_parts, fitted, refused, small_field
from weightgen.errors import InputError, UsageError
from weightgen.inr.config import field_config
from weightgen.inr.drawing import render_fit
from weightgen.inr.field import Field
from weightgen.inr.fits import Fits, FittedSignal
from weightgen.inr.fitting import stacked
from weightgen.inr.signals import audio, make_kind
from weightgen.inr.signals.audio import Audio, AudioConfig
from weightgen.inr.signals.kind import Signal


def tone(count: int, cycles: float = 4, size: float = 0.5) -> np.ndarray:
    return size * np.sin(2 * np.pi * cycles * (np.arange(count) + 0.5) / count)


def write(path: Path, samples: np.ndarray, rate: int = 8000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def kind(**conventions: object) -> Audio:
    found = make_kind("audio", {"rate": 8000, "length": 256, **conventions})
    assert isinstance(found, Audio)
    return found


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_saved_is_what_was_read(tmp_path: Path, suffix: str, channels: int) -> None:
    steps = np.random.default_rng(0).integers(-32768, 32768, (100, channels))
    write(tmp_path / f"a{suffix}", steps.astype(np.int16))
    one = kind(channels=channels)
    (signal,) = one.load(str(tmp_path))
    assert signal.name == "a"
    top = np.abs(steps).max() / 32768
    assert signal.scale == top
    assert torch.allclose(signal.data, torch.from_numpy(steps / 32768 / top).float(), atol=1e-7)
    one.save(signal.data.numpy() * top, tmp_path / f"b{suffix}", one.shape(signal))
    found, rate = soundfile.read(tmp_path / f"b{suffix}", dtype="int16", always_2d=True)
    assert rate == 8000
    assert np.array_equal(found, steps)
    assert soundfile.info(tmp_path / f"b{suffix}").subtype == "PCM_16"


def test_conventions_are_those_of_the_files(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.wav", np.stack([tone(50)] * 2, 1), 22050)
    assert Audio.conventions(str(tmp_path), {"length": 9}) == {"channels": 2, "rate": 22050, "length": 9}
    write(tmp_path / "d.wav", tone(50), 22050)
    refused(InputError, lambda: Audio.conventions(str(tmp_path), {}), "a.wav has 2 channels, d.wav has 1")
    assert Audio.conventions(str(tmp_path), {"channels": 1})["channels"] == 1
    write(tmp_path / "d.wav", np.stack([tone(50)] * 2, 1), 16000)
    refused(InputError, lambda: Audio.conventions(str(tmp_path), {}), "a.wav has 22050", "d.wav has 16000")


def test_the_range_covers_the_length_and_clips_are_centred() -> None:
    one = kind(length=8)
    short, full, long = (Signal("x", torch.arange(n).float().unsqueeze(1) / 20) for n in (4, 8, 16))
    assert one.observe(full)["coordinates"][:, 0].tolist() == [-0.875 + 0.25 * i for i in range(8)]
    assert one.observe(short)["coordinates"][:, 0].tolist() == [-0.375, -0.125, 0.125, 0.375]
    assert one.observe(long)["coordinates"][[0, -1], 0].tolist() == [-0.9375, 0.9375]
    which = torch.tensor([3, 0, 3])
    some, every = one.observe(long, which), one.observe(long)
    assert all(torch.equal(some[n], every[n][which]) for n in ("coordinates", "values"))
    assert one.standard(long).data[:, 0].tolist() == long.data[4:12, 0].tolist()
    assert one.standard(short).data is not None
    assert torch.equal(one.standard(short).data, short.data)


def test_random_windows_reach_every_place_and_nothing_else() -> None:
    one = kind(length=8)
    long = Signal("x", torch.arange(11).float().unsqueeze(1))
    starts = set()
    for seed in range(60):
        window = one.augmented(long, torch.Generator().manual_seed(seed)).data[:, 0].tolist()
        again = one.augmented(long, torch.Generator().manual_seed(seed)).data[:, 0].tolist()
        assert window == again == [window[0] + i for i in range(8)]
        starts.add(window[0])
    assert starts == {0, 1, 2, 3}


def test_scores_do_not_depend_on_loudness() -> None:
    batch = {"coordinates": torch.zeros(2, 10, 1), "values": torch.tensor([1.0, 0.01]).view(2, 1, 1).expand(2, 10, 1)}
    tenth_off = lambda x: 0.9 * batch["values"]  # noqa: E731
    assert kind().score(tenth_off, batch).tolist() == pytest.approx([20.0, 20.0], abs=1e-3)
    assert kind().score(lambda x: torch.zeros(2, 10, 1), batch).tolist() == [0, 0]


def test_what_is_drawn_is_as_loud_as_the_recording(tmp_path: Path) -> None:
    one = kind(length=100)
    (signal,) = one.load(str(write(tmp_path / "quiet.wav", tone(100, size=0.01))))
    assert float(signal.data.abs().max()) == 1
    assert one.standard(signal).scale == one.augmented(signal, torch.Generator()).scale == signal.scale
    named = FittedSignal(name="quiet", shape=one.shape(signal), scale=signal.scale, score=None)
    field = Field(field_config("siren", {"inputs": 1, "outputs": 1, "hidden": 8, "hidden_layers": 1}))
    loud = Fits(field, one, stacked(field, 1), [named.model_copy(update={"scale": 1.0})], 0)
    render_fit(loud, tmp_path / "loud.wav")
    render_fit(replace(loud, signals=[named]), tmp_path / "drawn.wav")
    full, drawn = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("loud", "drawn"))
    assert np.abs(full).max() > 0.05
    assert np.allclose(drawn, full * signal.scale, atol=1 / 32768)
    refused(UsageError, lambda: render_fit(loud, tmp_path / "a.mp3"), "a.mp3: cannot be written", ".wav, .flac")


def test_more_samples_last_as_long(tmp_path: Path) -> None:
    one, shape = kind(length=100), [50]  # a clip that covers the middle half of the range
    seen = []

    def evaluate(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return 3 * x

    assert one.render(evaluate, shape).shape == (50, 1)
    doubled = one.render(evaluate, shape, 100)
    assert seen[0][0, :, 0].tolist() == pytest.approx([-0.49 + 0.02 * i for i in range(50)], abs=1e-6)
    assert seen[1][0, :, 0].tolist() == pytest.approx([-0.495 + 0.01 * i for i in range(100)], abs=1e-6)
    assert np.abs(doubled).max() == 1  # clipped
    one.save(doubled, tmp_path / "a.wav", shape)
    found = soundfile.info(tmp_path / "a.wav")
    assert (found.samplerate, found.frames) == (16000, 100)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "FLOAT"])
def test_clipped_recordings_are_remarked(tmp_path: Path, subtype: str) -> None:
    samples = np.array([0.0, 1.0, -1.0, 0.97, 32767 / 32768, 127 / 128, 0.5, 0.1])
    soundfile.write(tmp_path / "clipped.wav", samples, 8000, subtype)
    soundfile.write(tmp_path / "loud.wav", 0.95 * samples, 8000, subtype)
    clipped, loud = kind().load(str(tmp_path))
    assert clipped.remark == "50% of its samples are at full scale: it is clipped, and so is the fit"
    assert loud.remark is None


def test_rates_beyond_a_format_are_refused(tmp_path: Path) -> None:
    one = kind(rate=8000)
    field = small_field(one)
    fits = Fits(field, one, stacked(field, 1), [FittedSignal(name="x", shape=[10], score=None)], 0)
    refused(UsageError, lambda: render_fit(fits, tmp_path / "x.flac", 16000), "x.flac: cannot be written (Error : flac")
    assert not list(tmp_path.iterdir())
    render_fit(fits, tmp_path / "x.wav", 16000)
    assert soundfile.info(tmp_path / "x.wav").samplerate == 12_800_000


def test_a_field_learns_a_tone() -> None:
    one = kind(length=256)
    signal = Signal("tone", torch.from_numpy(tone(256)).float().unsqueeze(1))
    evaluate, score = fitted(one, signal, small_field(one), 150, 2e-3, 256)
    assert score > 35
    assert np.abs(one.render(evaluate, [256])[:, 0] - tone(256)).max() < 0.06


def test_losses_do_not_depend_on_the_parts() -> None:
    one = kind(channels=2, length=40)
    agree_in_parts(one, [Signal(str(i), torch.randn(40, 2)) for i in range(3)])


def test_what_is_no_usable_audio_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a\x1b.wav"

    def load() -> None:
        kind().load(str(tmp_path))

    refused(UsageError, lambda: kind().load(str(tmp_path / "no")), "no such file or directory")
    refused(InputError, load, "expected audio (.wav, .flac), found none")
    for raw in (b"", b"RIFF", b"\0" * 1000, b"fLaC" + b"\xff" * 100):
        file.write_bytes(raw)
        refused(InputError, load, r"a\x1b.wav: is no audio that can be read")
    write(file, tone(100, size=5e-5), subtype="FLOAT")
    refused(InputError, load, "is silent (no sample above 0.0001). Leave it out.")
    write(file, np.zeros(0))
    refused(InputError, load, "holds no samples")
    write(file, np.array([0.1, np.nan, 0.2]), subtype="FLOAT")
    refused(InputError, load, "has samples up to nan, expected them in [-1, 1]")
    write(file, np.array([0.1, -1.5, 0.2]), subtype="FLOAT")
    refused(InputError, load, "has samples up to 1.5, expected them in [-1, 1]. Normalise it first.")
    write(file, tone(100), 16000)
    refused(InputError, load, "has 16000 samples per second, expected 8000. Resample it first.")
    write(file, np.stack([tone(100)] * 2, 1))
    refused(InputError, load, "has 2 channels, expected 1. Mix or split it first.")
    write(file, np.stack([tone(100)] * 6, 1))
    refused(InputError, load, "has 6 channels, expected 1 or 2")
    write(file, tone(100))
    load()
    monkeypatch.setattr(audio, "MAX_SAMPLES", 99)
    refused(InputError, load, "promises 100 samples, expected at most 99")


def test_cut_files_are_refused_and_those_of_unknown_length_read_as_far_as_they_go(tmp_path: Path) -> None:
    file = write(tmp_path / "a.wav", tone(1000))
    raw = bytearray(file.read_bytes())
    file.write_bytes(raw[: len(raw) // 2])
    refused(InputError, lambda: kind().load(str(file)), "a.wav: is cut short: 2000 bytes of samples were promised, 978")
    for size in (0xFFFFFFF0, 0x7FFFFFFF):
        raw[40:44] = struct.pack("<I", size)
        file.write_bytes(raw)
        (signal,) = kind().load(str(file))
        assert len(signal.data) == 1000
    write(tmp_path / "b.flac", np.random.default_rng(0).uniform(-1, 1, 5000))
    raw = bytearray((tmp_path / "b.flac").read_bytes())
    raw[21] |= 15  # with the next four bytes, the header's count of samples
    raw[22:26] = b"\xff" * 4
    (tmp_path / "b.flac").write_bytes(raw)
    refused(InputError, lambda: kind().load(str(tmp_path / "b.flac")), "b.flac: promises 68719476735 samples")


def test_conventions_that_make_no_sense_are_refused() -> None:
    refused(UsageError, lambda: make_kind("audio", {"channels": 3}), "--signal-args: channels")
    refused(UsageError, lambda: make_kind("audio", {"lenght": 3}), "Did you mean 'length'?")
    assert AudioConfig().length == 8192
