"""The training loop: exact resumption, equality over processes and micro-batches, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.small_task import Regression, network, settings
from weightgen.errors import InputError, UsageError
from weightgen.publishing.manifest import check
from weightgen.publishing.retention import newest_complete, retain, state_directory
from weightgen.training.data_order import StepBatches, draws_of_step, items_of_step
from weightgen.training.interruption import Interrupted
from weightgen.training.loop import train
from weightgen.training.outcome import Diverged, Trained
from weightgen.training.scoring import score

SCRIPT = Path(__file__).parent / "small_task.py"


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(tmp_path: Path, *words: str, launcher: tuple[str, ...] = (), **changes: Any) -> int:
    command = [sys.executable, *launcher, str(SCRIPT), json.dumps(changes)]
    command += [str(tmp_path / "states"), str(tmp_path / "out.pt"), *words]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False, text=True)
    print(found.stderr)  # shown where the test fails
    return found.returncode


def same(trained: Trained, file: Path) -> bool:
    found = torch.load(file)
    ours = trained.model.state_dict()
    equal = all(torch.equal(found[k], v) for k, v in ours.items())
    return equal and np.array_equal(found["curve"], trained.curve) and found["losses"] == trained.losses


def test_killed_runs_end_as_if_they_had_not_been(tmp_path: Path) -> None:
    """Killed before, between, during and after saves; dropout, augmentation, averaging and schedule included."""
    whole = train(network(), Regression(), settings())
    for kill in ("before:3", "during:20", "after:27", "before:39"):
        assert run(tmp_path, kill) == -signal.SIGKILL
    assert newest_complete(tmp_path / "states") == state_directory(tmp_path / "states", 30)
    assert run(tmp_path) == 0
    assert same(whole, tmp_path / "out.pt")


class Tied(torch.nn.Module):
    """A network that uses one matrix twice, as language models do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first, self.second, self.last = (torch.nn.Linear(8, n) for n in (8, 8, 1))
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(torch.relu(self.second(torch.relu(self.first(x)))))
        return found


def test_tied_weights_stay_tied(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = settings(ema=0.0)
    whole = train(Tied(), Regression(), options)
    train(Tied(), Regression(), options, tmp_path)
    resumed = train(Tied(), Regression(), options, tmp_path)
    assert resumed.model.second.weight is resumed.model.first.weight
    assert np.array_equal(resumed.curve, whole.curve)
    assert not caplog.records


def test_each_seed_matters_by_itself() -> None:
    whole = train(network(), Regression(), settings())
    for change in ("data_seed", "augment_seed"):
        other = train(network(), Regression(), settings(**{change: 5}))
        assert not np.array_equal(other.curve[-1], whole.curve[-1]), change
    again = train(network(), Regression(), settings())
    assert np.array_equal(again.curve, whole.curve)


def test_two_processes_match_one(tmp_path: Path) -> None:
    """The same global batches over gloo; an odd number of scored items; one process ends to rounding where two do."""
    options = {"dropout": 0.0, "ema": 0.0, "accumulate": 2, "clip": 0.5}
    # The launcher's own free port: one that a test looks for may be taken before it is used.
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone")
    assert run(tmp_path, launcher=launcher, **options) == 0
    found = torch.load(tmp_path / "out.pt")
    whole = train(network(0.0), Regression(), settings(ema=0.0, clip=0.5))
    assert found["curve"].shape == (3, 30)
    np.testing.assert_allclose(found["curve"], whole.curve, rtol=1e-4, atol=1e-6)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)
    saved = json.loads((newest_complete(tmp_path / "states") / "progress.json").read_text())  # type: ignore[operator]
    assert saved["settings"]["processes"] == 2


def test_micro_batches_are_one_batch() -> None:
    plain = settings(ema=0.0)
    whole = train(network(0.0), Regression(), plain)
    parts = train(network(0.0), Regression(), settings(ema=0.0, accumulate=3))
    np.testing.assert_allclose(parts.curve, whole.curve, rtol=1e-4, atol=1e-6)
    assert whole.curve.mean(1)[-1] < 0.7 * whole.curve.mean(1)[0]


def test_processes_share_a_step_without_overlap() -> None:
    task = Regression()
    how = settings(accumulate=2, data_seed=3, augment_seed=4)
    every = items_of_step(7, 12, 100, seed=3)
    shares = [StepBatches(task, how, p, 3)[7] for p in range(3)]
    given = torch.cat([part["x"] for share in shares for part in share])
    expected = task.batch("train", every.tolist(), draws_of_step(7, 12, 4).tolist())["x"]
    assert torch.equal(given, expected)


def test_an_epoch_sees_every_item_once() -> None:
    seen = np.concatenate([items_of_step(s, 7, 21, seed=0) for s in range(6)])
    assert sorted(seen[:21]) == sorted(seen[21:]) == list(range(21))
    assert not np.array_equal(seen[:21], seen[21:])


def test_a_damaged_state_is_passed_over(tmp_path: Path) -> None:
    train(network(), Regression(), settings(save_every=5), tmp_path / "states")
    newest = newest_complete(tmp_path / "states")
    assert newest == state_directory(tmp_path / "states", 35)
    (newest / "optimizer.bin").write_bytes(b"broken")
    assert newest_complete(tmp_path / "states") == state_directory(tmp_path / "states", 30)
    assert len(list((tmp_path / "states").iterdir())) == 2
    again = train(network(), Regression(), settings(save_every=5), tmp_path / "states")
    assert np.array_equal(again.curve, train(network(), Regression(), settings()).curve)


def test_retention_never_leaves_half_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(network(), Regression(), settings(save_every=15), tmp_path)
    monkeypatch.setattr(
        "weightgen.publishing.retention.shutil.rmtree", lambda *a, **k: None
    )  # killed before anything was removed
    retain(tmp_path, keep=1)
    assert newest_complete(tmp_path) == state_directory(tmp_path, 30)
    with pytest.raises(InputError, match="no manifest"):
        check(state_directory(tmp_path, 15))


def test_other_settings_are_refused_with_the_difference(tmp_path: Path) -> None:
    train(network(), Regression(), settings(), tmp_path)
    with pytest.raises(UsageError, match=r"learning_rate: 0.01 then, 0.02 now"):
        train(network(), Regression(), settings(learning_rate=0.02), tmp_path)
    torch.set_num_threads(2)
    with pytest.raises(UsageError, match="threads: 1 then, 2 now"):
        train(network(), Regression(), settings(), tmp_path)


def test_batches_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(UsageError, match=r"batch size 12 cannot be shared .* take a multiple of 5"):
        train(network(), Regression(), settings(accumulate=5))


class Exploding(Regression):
    """Its loss is infinite from the fifth step on."""

    calls = 0

    def loss(self, outputs: Any, batch: Any) -> torch.Tensor:
        self.calls += 1
        return super().loss(outputs, batch) * (float("inf") if self.calls > 5 else 1.0)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(
        Diverged, match=r"not finite at step 6 \(learning rate 0.01\). The last good state is"
    ) as caught:
        train(network(), Exploding(), settings(save_every=2), tmp_path)
    assert caught.value.exit_code == 1
    assert caught.value.step == 6
    assert len(caught.value.curve) == 1
    assert newest_complete(tmp_path) == state_directory(tmp_path, 4)


def test_ctrl_c_saves_at_the_step(tmp_path: Path) -> None:
    def interrupt(done: int, total: int, words: str) -> None:
        if done == 13:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped at step 14 of 40"):
        train(network(), Regression(), settings(), tmp_path, progress=interrupt)
    assert newest_complete(tmp_path) == state_directory(tmp_path, 14)
    whole = train(network(), Regression(), settings())
    assert np.array_equal(train(network(), Regression(), settings(), tmp_path).curve, whole.curve)
    assert signal.getsignal(signal.SIGINT) is before


def test_progress_tells_metric_and_throughput() -> None:
    said: list[tuple[int, int, str]] = []
    train(network(), Regression(), settings(), progress=lambda *words: said.append(words))
    assert said[-1][:2] == (40, 40)
    assert said[-1][2].startswith("squared error ")
    assert said[-1][2].endswith(" items/s")


def test_scores_are_of_the_averaged_weights() -> None:
    trained = train(network(), Regression(), settings())
    np.testing.assert_allclose(score(trained.model, Regression(), "validation"), trained.curve[-1], rtol=1e-6)


def test_precisions_of_one_process_do_not_mix() -> None:
    plain = train(network(0.0), Regression(), settings(ema=0.0))
    half = train(network(0.0), Regression(), settings(ema=0.0, precision="bf16"))
    again = train(network(0.0), Regression(), settings(ema=0.0))
    assert not np.array_equal(half.curve, plain.curve)
    np.testing.assert_allclose(half.curve.mean(1), plain.curve.mean(1), rtol=0.1)
    assert np.array_equal(again.curve, plain.curve)


def test_a_tracker_is_told(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")
    train(network(), Regression(), settings(), tmp_path / "states", tracker="tensorboard")
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*"))


def test_time_is_of_the_steps_alone() -> None:
    started = time.perf_counter()
    trained = train(network(), Regression(), settings(steps=5, marks=(0, 5)))
    assert 0 < trained.seconds < time.perf_counter() - started
