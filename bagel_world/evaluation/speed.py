"""Speed: environment steps per second, where the time of a step goes, and how far that is from what the machine can do.

Everything is measured in one process, after a warm-up, as medians; resets do not count. A model's step is compared with the
fp32 matrix products that the same process reaches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from bagel_world.envs.registry import NAVIGATE_ID, register_all
from bagel_world.evaluation.metrics import Interval, median_interval
from bagel_world.evaluation.report import Row, make_row
from bagel_world.evaluation.stopwatch import Stopwatch
from bagel_world.evaluation.subject import Subject, Track, untracked

Seconds = npt.NDArray[np.float64]
Clock = Callable[[], float]

PARTS = ("autoencoder encode", "prefill", "denoise", "autoencoder decode")
REST = "environment and Python around the model"

_WALK = (0, 1, 0, 2)
_BARE_BATCHES = (1, 8)


class SpeedConfig(BaseModel):
    """What to measure, and how often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warm_up: int = Field(default=20, ge=1)
    """Steps of an episode that do not count: code paths get warm and the context fills."""
    steps: int = Field(default=200, ge=2)
    """Steps of an episode, warm-up included."""
    batches: tuple[int, ...] = (1, 4, 16)
    """Environments stepped together."""
    histories: tuple[int, ...] = (1, 8, 64)
    """Steps of an episode whose own cost is shown."""
    episodes: int = Field(default=11, ge=1)
    """Episodes behind the cost by history."""
    profiled: int = Field(default=20, ge=1)
    """Steps under the profiler."""
    repeats: int = Field(default=30, ge=1)
    """Calls of the bare model and of every matrix product."""
    products: tuple[int, ...] = (512, 1024, 2048)
    """Sides of the square matrices that are multiplied."""


QUICK = SpeedConfig(warm_up=3, steps=12, batches=(1, 4), histories=(1, 8), episodes=3, profiled=4, repeats=5, products=(256, 512))
"""Seconds instead of minutes: shows that everything runs, not how fast."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of the benchmark.

    Attributes:
        subject: the world; environments of its checkpoint share its weights.
        config: what to measure.
        sampling: as the subject was loaded with.
        device: as the subject was loaded on.
        clock: seconds.
    """

    subject: Subject
    config: SpeedConfig
    sampling: str | None = None
    device: str = "auto"
    clock: Clock = time.perf_counter

    def rows(self, track: Track = untracked) -> Iterator[Row]:
        """All rows; those of the model itself only where the world has one."""
        parts: list[Callable[[], Iterator[Row]]] = [partial(self.batch_rows, size) for size in self.config.batches]
        parts += [self.history_rows, self.restore_rows]
        if self.checkpoint is not None:
            parts += [self.split_rows, self.efficiency_rows, self.bare_rows]
        for part in track(parts, "benchmarks"):
            yield from part()

    @property
    def checkpoint(self) -> Any:
        """The loaded model; None where the world has none."""
        return getattr(self.subject.world, "checkpoint", None)

    def make(self, horizon: int) -> gym.Env[Any, Any]:
        """An environment as users make it."""
        register_all()
        return gym.make(NAVIGATE_ID, **self._settings(horizon))

    def make_vector(self, size: int, horizon: int) -> Any:
        """A vector environment as users make it."""
        register_all()
        return gym.make_vec(NAVIGATE_ID, num_envs=size, **self._settings(horizon))

    def _settings(self, horizon: int) -> dict[str, Any]:
        return {"checkpoint": self.subject.name, "sampling": self.sampling, "device": self.device, "horizon": horizon}

    def start(self, env: Any, seed: int = 0) -> None:
        """Reset; from a picture of noise where the checkpoint brings no starting episodes."""
        options: dict[str, Any] = {}
        if not self.subject.world.starts:
            height, width = self.subject.world.frame_size
            options["image"] = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        env.reset(seed=seed, options=options)

    def time_steps(self, env: Any, actions: Sequence[Any]) -> Seconds:
        """Seconds of every step."""
        seconds = []
        for action in actions:
            began = self.clock()
            env.step(action)
            seconds.append(self.clock() - began)
        return np.array(seconds)

    def walk(self, size: int | None = None) -> list[Any]:
        """The actions of a measured episode: forward, left, forward, right, ..."""
        ids = [_WALK[step % len(_WALK)] for step in range(self.config.steps)]
        return ids if size is None else [np.full(size, each) for each in ids]

    def batch_rows(self, size: int) -> Iterator[Row]:
        """Environment steps per second; one environment alone is a plain `gym.make`."""
        alone = size == 1
        env = self.make(self.config.steps + 1) if alone else self.make_vector(size, self.config.steps + 1)
        self.start(env)
        seconds = self.time_steps(env, self.walk(None if alone else size))[self.config.warm_up :]
        env.close()
        name = "one environment" if alone else f"{size} in a batch"
        step = median_interval(seconds)
        yield make_row(
            "env_steps_per_second", f"{name}, median step", len(seconds), Interval(*(size / each for each in _turned(step)))
        )
        # The mean also pays for the steps at which old frames leave the context and the rest is encoded anew.
        mean = size / float(seconds.mean())
        yield make_row(
            "env_steps_per_second", f"{name}, mean over all steps", len(seconds), Interval(mean, *_mean_range(size, seconds))
        )
        yield make_row("ms_per_batch_step", name, len(seconds), _milliseconds(step))

    def history_rows(self) -> Iterator[Row]:
        """Milliseconds of the first, the eighth ... step of an episode."""
        last = max(self.config.histories)
        env = self.make(last + 1)
        taken = []
        for episode in range(self.config.episodes + 1):
            self.start(env, episode)
            taken.append(self.time_steps(env, [_WALK[step % len(_WALK)] for step in range(last)]))
        env.close()
        for step in self.config.histories:
            seconds = np.array([each[step - 1] for each in taken[1:]])
            yield make_row("ms_by_history", f"step {step} of an episode", len(seconds), _milliseconds(median_interval(seconds)))

    def restore_rows(self) -> Iterator[Row]:
        """A step, and a step behind a restored state: while somebody still walks on from there, and when nobody does."""
        env = self.make(len(_WALK) + 2)
        taken: dict[str, list[float]] = {"a step": [], "restored, its past at hand": [], "restored, its past read again": []}
        for episode in range(self.config.repeats + 1):
            self.start(env, episode)
            self.time_steps(env, _WALK)
            state = env.unwrapped.get_state()  # type: ignore[attr-defined]
            taken["a step"].append(float(self.time_steps(env, _WALK[:1])[0]))
            taken["restored, its past at hand"].append(self._restored_step(env, state))
            self.start(env, episode + 1)  # lets go of the past
            taken["restored, its past read again"].append(self._restored_step(env, state))
        env.close()
        for name, seconds in taken.items():
            yield make_row("ms_restore", name, len(seconds) - 1, _milliseconds(median_interval(np.array(seconds[1:]))))

    def _restored_step(self, env: Any, state: dict[str, Any]) -> float:
        began = self.clock()
        env.unwrapped.set_state(state)
        env.step(_WALK[0])
        return self.clock() - began

    def split_rows(self) -> Iterator[Row]:
        """Where the milliseconds of a step go; the rest is what no part of the model accounts for."""
        checkpoint, env = self.checkpoint, self.make(self.config.steps + 1)
        self.start(env)
        watch = Stopwatch(self.clock, _wait)
        names = dict(zip(PARTS, ("encode", "remember", "velocity", "decode"), strict=True))
        owners = {"encode": checkpoint.vae, "decode": checkpoint.vae}
        laps: list[dict[str, float]] = []
        with watch.on({part: (owners.get(method, checkpoint.bagel), method) for part, method in names.items()}):
            for action in self.walk():
                watch.reset()
                whole = float(self.time_steps(env, [action])[0])
                spent = {part: watch.seconds.get(part, 0.0) for part in PARTS}
                laps.append({**spent, REST: whole - sum(spent.values()), "whole step": whole})
        env.close()
        laps = laps[self.config.warm_up :]
        whole = np.array([lap["whole step"] for lap in laps])
        for part in ("whole step", *PARTS, REST):
            seconds = np.array([lap[part] for lap in laps])
            yield make_row("ms_of_a_step", part, len(laps), _milliseconds(median_interval(seconds)))
        for part in (*PARTS, REST):
            share = np.array([lap[part] for lap in laps]) / whole
            yield make_row("share_of_a_step", part, len(laps), median_interval(share))
        if checkpoint.bagel.device.type == "cpu":  # elsewhere operators only start what takes the time
            yield self._python_row()

    def _python_row(self) -> Row:
        """The share of a step outside of torch's operators.

        By the profiler's own clock, which slows Python more than operators: an upper estimate.
        """
        env = self.make(self.config.steps + 1)
        self.start(env)
        self.time_steps(env, self.walk()[: self.config.warm_up])
        shares = []
        for _ in range(self.config.profiled):
            with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
                whole = 1e6 * float(self.time_steps(env, [0])[0])
            operators = sum(each.self_cpu_time_total for each in profiler.key_averages() if each.key.startswith("aten::"))
            shares.append(1.0 - operators / whole)
        env.close()
        return make_row(
            "share_of_a_step", "outside torch operators (profiler, upper estimate)", len(shares), median_interval(shares)
        )

    def efficiency_rows(self) -> Iterator[Row]:
        """Floating-point operations per second of a step against those of the best plain matrix product."""
        peak = self.product_peak()
        yield make_row("gflop_per_second", "fp32 matrix product, best size", self.config.repeats, peak)
        env = self.make(self.config.steps + 1)
        self.start(env)
        actions = self.walk()
        self.time_steps(env, actions[: self.config.warm_up])
        with FlopCounterMode(display=False) as counter:
            env.step(actions[0])
        work = counter.get_total_flops() / 1e9
        rates = work / self.time_steps(env, actions[self.config.warm_up + 1 :])
        env.close()
        step = median_interval(rates)
        yield make_row("gflop_of_a_step", "one environment, matrix products and convolutions", 1, Interval(work, work, work))
        yield make_row("gflop_per_second", "one environment", len(rates), step)
        yield make_row("fraction_of_peak", "one environment", len(rates), Interval(*(each / peak.value for each in step)))

    def product_peak(self) -> Interval:
        """GFLOP/s of square fp32 products at the side where the median is best."""
        device = self.checkpoint.bagel.device
        found = []
        for side in self.config.products:
            one, other = (torch.randn(side, side, device=device) for _ in range(2))
            seconds = self.time_calls(partial(torch.mm, one, other))
            found.append(Interval(*(2e-9 * side**3 / each for each in _turned(median_interval(seconds)))))
        return max(found, key=lambda each: each.value)

    def time_calls(self, call: Callable[[], Any]) -> Seconds:
        """Seconds of `repeats` calls after three warm ones."""
        seconds = []
        for _ in range(self.config.repeats + 3):
            _wait()
            began = self.clock()
            call()
            _wait()
            seconds.append(self.clock() - began)
        return np.array(seconds[3:])

    def bare_rows(self) -> Iterator[Row]:
        """What a batch gains in the bare model, and what `branch` makes of it."""
        medians = {}
        for size in _BARE_BATCHES:
            seconds = self._bare_seconds(size)
            medians[size] = float(np.median(seconds))
            name = f"one velocity and one decode, batch of {size}"
            yield make_row("ms_of_the_bare_model", name, len(seconds), _milliseconds(median_interval(seconds)))
        many = _BARE_BATCHES[-1]
        bare = many * medians[1] / medians[many]
        yield make_row(
            "gain_of_a_batch", f"bare model, {many} over {many} single ones", self.config.repeats, Interval(bare, bare, bare)
        )
        env: Any = self.make(self.config.steps + 1).unwrapped
        self.start(env)
        self.time_steps(env, self.walk()[: self.config.warm_up])
        actions = [each % len(self.subject.words) for each in range(many)]
        single, branch = (float(np.median(self.time_calls(partial(env.branch, each)))) for each in (actions[:1], actions))
        gain = many * single / branch
        yield make_row(
            "gain_of_a_batch", f"branch, {many} over {many} single ones", self.config.repeats, Interval(gain, gain, gain)
        )

    def _bare_seconds(self, size: int) -> Seconds:
        """Seconds of one velocity and one decode, replayed with the arguments of a real step."""
        checkpoint, world = self.checkpoint, self.subject.world
        height, width = world.frame_size
        frames = np.random.default_rng(0).integers(0, 256, (size, 4, height, width, 3), dtype=np.uint8)
        contexts = []
        for walk in frames:
            context = world.observe(walk[0])
            for frame in walk[1:]:
                context = context.say(self.subject.words[0]).observe(frame)
            contexts.append(context.say(self.subject.words[0]))
        watch = Stopwatch(self.clock, _wait)
        with watch.on({"velocity": (checkpoint.bagel, "velocity"), "decode": (checkpoint.vae, "decode")}):
            world.imagine(contexts, seeds=list(range(size)))
        with torch.inference_mode():
            return self.time_calls(lambda: (watch.replay("velocity"), watch.replay("decode")))


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _turned(interval: Interval) -> Interval:
    """An interval whose ends change places, for figures that fall as these rise."""
    return Interval(interval.value, interval.high, interval.low)


def _milliseconds(interval: Interval) -> Interval:
    return Interval(*(1000.0 * each for each in interval))


def _mean_range(size: int, seconds: Seconds) -> tuple[float, float]:
    """95 % bootstrap interval of size / mean."""
    places = np.random.default_rng(0).integers(len(seconds), size=(2000, len(seconds)))
    low, high = np.percentile(size / seconds[places].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
