"""The optimizer: Muon for matrices, AdamW for everything else, one learning-rate schedule for both.

Muon (Jordan et al., 2024) replaces the momentum of a matrix by its nearest orthogonal matrix, found with a few Newton-Schulz
steps. They run in float32 here: bfloat16 is slow on CPUs without native support. Matrices of equal shape go through together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from bagel_world.errors import TrainingError

Schedule = Literal["constant", "trapezoid", "cosine"]
"""After warming up: stay; stay, then fall along a line to zero; fall along half a cosine to zero."""

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic step: singular values of (0, 1] end in about 0.7 .. 1.2."""

_EPS = 1e-7


class OptimizerConfig(BaseModel):
    """How one stage of training moves its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    matrix_rate: float = Field(default=0.02, ge=0, description="Peak learning rate of Muon; 0 gives matrices to AdamW too.")
    rate: float = Field(default=3e-3, gt=0, description="Peak learning rate of AdamW.")
    momentum: float = Field(default=0.95, ge=0, lt=1, description="Momentum of Muon (Nesterov).")
    betas: tuple[float, float] = Field(
        default=(0.9, 0.95), description="Share of its running means (of gradients, of their squares) that AdamW keeps."
    )
    eps: float = Field(default=1e-10, gt=0, description="Added to AdamW's denominator.")
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description="Decoupled decay per unit of learning rate, of all matrices and kernels, whether Muon or AdamW moves them; "
        "embeddings, norms and biases do not decay.",
    )
    newton_schulz_steps: int = Field(default=5, ge=1, le=10, description="Steps in which Muon makes an update orthogonal.")
    clip: float = Field(default=1.0, gt=0, description="Largest global L2 norm of the gradient.")
    schedule: Schedule = Field(
        default="trapezoid", description="Of the rates: constant, trapezoid (they fall along a line at the end) or cosine."
    )
    warmup_steps: int = Field(default=100, ge=0, description="Steps in which the rates rise to their peaks.")
    decay_share: float = Field(default=0.4, ge=0, le=1, description="Share of the steps in which a trapezoid falls.")

    @model_validator(mode="after")
    def _betas_in_range(self) -> OptimizerConfig:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), got {self.betas}")
        return self


def rate_factor(step: int, steps: int, config: OptimizerConfig) -> float:
    """What the peak learning rates are multiplied with at this step (0-based) of `steps`."""
    warm = min(1.0, (step + 1) / (config.warmup_steps + 1))
    if config.schedule == "cosine":
        through = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
        return min(warm, 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, through)))))
    if config.schedule == "constant" or config.decay_share == 0:
        return warm
    left = (steps - step) / (config.decay_share * steps)
    return min(warm, max(0.0, min(1.0, left)))


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """The nearest (semi-)orthogonal matrices, roughly: shape (batch, rows, columns), float32 in and out.

    Long matrices take their steps on the small Gram matrix (rows x rows), of which every iterate is a polynomial: the same
    result for a fraction of the arithmetic.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + _EPS)
    x = _on_gram(x, steps) if x.shape[-1] > 2 * x.shape[-2] else _directly(x, steps)
    return x.mT if tall else x


def _directly(x: Tensor, steps: int) -> Tensor:
    a, b, c = NEWTON_SCHULZ
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _on_gram(x: Tensor, steps: int) -> Tensor:
    a, b, c = NEWTON_SCHULZ
    gram = x @ x.mT
    one = torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
    total = one.expand_as(gram)
    for step in range(steps):
        factor = a * one + torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        total = factor @ total
        if step < steps - 1:
            gram = factor @ gram @ factor
    return total @ x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized. Convolution kernels are taken as matrices (out, in * height * width)."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimizerConfig, pool: Executor | None = None) -> None:
        super().__init__(parameters, {"lr": config.matrix_rate})
        self._config = config
        self._pool = pool

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            jobs = list(_by_shape(group["params"]).values())
            move = partial(self._step_together, rate=group["lr"])
            if self._pool is None:
                list(map(move, jobs))
            else:
                jobs = [portion for job in jobs for portion in _portions(job)]
                jobs.sort(key=lambda job: -sum(parameter.numel() for parameter in job))
                list(self._pool.map(move, jobs))

    @torch.no_grad()  # of this thread, whichever it is
    def _step_together(self, parameters: Sequence[nn.Parameter], rate: float) -> None:
        config = self._config
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        momenta = [self._momentum(parameter) for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - config.momentum)
        ahead = torch.stack(torch._foreach_lerp(gradients, momenta, config.momentum)).flatten(2)
        moved = orthogonalize(ahead.float(), config.newton_schulz_steps).to(ahead.dtype)
        scale = rate * max(1.0, ahead.shape[1] / ahead.shape[2]) ** 0.5
        weights: list[Tensor] = list(parameters)
        torch._foreach_mul_(weights, 1 - rate * config.weight_decay)
        torch._foreach_add_(weights, list(moved.unflatten(2, parameters[0].shape[1:])), alpha=-scale)

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]


_STATE: dict[type[torch.optim.Optimizer], set[str]] = {
    Muon: {"momentum"},
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
}


def _by_shape(parameters: Iterable[nn.Parameter]) -> dict[torch.Size, list[nn.Parameter]]:
    shapes: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        if parameter.grad is not None:
            shapes[parameter.shape].append(parameter)
    return shapes


def _portions(parameters: list[nn.Parameter], size: int = 6) -> list[list[nn.Parameter]]:
    return [parameters[place : place + size] for place in range(0, len(parameters), size)]


class Optimizer:
    """Muon and AdamW behind one `clip` and one `step`, with the schedule.

    Args:
        named: name and parameter of everything that learns.
        matrices: the names among them that Muon moves.
        config: rates and schedule.
        pool: threads that share Muon's work.
        total: adds up a number over the processes, where each holds a share of the parameters.
        tables: the names of embeddings. They do not decay: a row that a step does not look up has no gradient to hold it.
    """

    def __init__(
        self,
        named: dict[str, nn.Parameter],
        matrices: set[str],
        config: OptimizerConfig,
        pool: Executor | None = None,
        total: Callable[[Tensor], Tensor] | None = None,
        tables: Collection[str] = (),
    ) -> None:
        self.config = config
        self._total = total
        self._named = named
        matrices = matrices if config.matrix_rate > 0 else set()
        rest = {name: parameter for name, parameter in named.items() if name not in matrices}
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            self._parts.append(Muon([parameter for name, parameter in named.items() if name in matrices], config, pool))
        if rest:
            decayed = [each for name, each in rest.items() if each.ndim > 1 and name not in tables]
            others = [each for name, each in rest.items() if each.ndim <= 1 or name in tables]
            groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
            self._parts.append(torch.optim.AdamW(groups, lr=config.rate, betas=config.betas, eps=config.eps, fused=True))
        self._peaks = [part.param_groups[0]["lr"] for part in self._parts]

    def step(self, factor: float) -> None:
        """Move the weights at `factor` times the peak rates, and clear the gradients."""
        for part, peak in zip(self._parts, self._peaks, strict=True):
            for group in part.param_groups:
                group["lr"] = peak * factor
            part.step()
            part.zero_grad(set_to_none=True)

    def clip(self) -> float:
        """Scale the gradients down to the largest norm there may be; the norm before."""
        parameters = list(self._named.values())
        if self._total is None:
            return float(nn.utils.clip_grad_norm_(parameters, self.config.clip))
        norms = nn.utils.get_total_norm([each.grad for each in parameters if each.grad is not None])
        norm = self._total(norms.square()).sqrt()
        nn.utils.clip_grads_with_norm_(parameters, self.config.clip, norm)
        return float(norm)

    def state_tensors(self) -> dict[str, Tensor]:
        """Every tensor of the optimizer by `parameter name/what it is`."""
        state = {}
        for name, parameter in self._named.items():
            for part in self._parts:
                for key, value in part.state.get(parameter, {}).items():
                    state[f"{name}/{key}"] = value
        return state

    def load_state_tensors(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_tensors` gave.

        Raises:
            TrainingError: it belongs to weights that do not learn here, or to another optimizer of theirs.
        """
        groups = [(part, group) for part in self._parts for group in part.param_groups]
        owner = {id(parameter): part for part, group in groups for parameter in group["params"]}
        for key, value in state.items():
            name, _, what = key.rpartition("/")
            parameter = self._named.get(name)
            part = None if parameter is None else owner[id(parameter)]
            if parameter is None or part is None or what not in _STATE[type(part)]:
                raise TrainingError(
                    f"Expected an optimizer's state of what learns here, got {key}. Resume with the parts that learn and "
                    "the optimizer (optimizer.matrix_rate above 0, or 0) as they were, or train in another run folder."
                )
            part.state[parameter][what] = _laid_out_as(parameter, value)


def _laid_out_as(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """A copy where the parameter is, in its memory format: a fused step goes through both as they lie in memory."""
    if value.shape != parameter.shape:  # a number of steps
        return value.to(parameter.device, copy=True)
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
