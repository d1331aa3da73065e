"""Footage of any Gymnasium environment: where its frames come from, what its actions are called, one episode of it."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, load_env_creator
from PIL import Image

from bagel_world.actions import MAX_TEXT_LENGTH, action_from_text
from bagel_world.errors import ActionError, BagelWorldError, ConfigError, ImageError, SimulatorError, UnknownNameError
from bagel_world.images import center_crop, read_image
from bagel_world.sims.gym_policies import Act
from bagel_world.types import Action, Episode, Frame

FRAME_SOURCES = ("auto", "render", "observation")
"""Where frames come from; "auto" renders where an environment can, else takes observations that are pictures."""

_PICTURE_KEYS = ("rgb", "image", "pixels", "observation")
_SMALLEST_PICTURE = 8
_CHANNELS = (1, 3, 4)
_DECIMALS = 2


class FailedEpisodeError(SimulatorError):
    """An episode in which an environment or a policy raised something."""


def open_env(env_id: str, options: Mapping[str, Any], frames: str = "auto") -> gym.Env[Any, Any]:
    """An environment that shows frames.

    Args:
        env_id: as `gymnasium.make` takes it: "CartPole-v1", or "package:Name-v0" to import a package first; or a class,
            "module:Class".
        options: keyword arguments of the environment.
        frames: one of `FRAME_SOURCES`.

    Raises:
        UnknownNameError: no such environment, or an unknown source of frames.
        ConfigError: the environment does not take these options, or shows no frames.
        SimulatorError: it could not be made, for example because a package that it needs is not installed.
    """
    if frames not in FRAME_SOURCES:
        raise UnknownNameError(f"Expected frames from one of {', '.join(FRAME_SOURCES)}, got {frames!r}.")
    env = _make(env_id, dict(options), rendering=frames != "observation")
    try:
        frame_reader(env, frames)
    except ConfigError:
        env.close()
        raise
    return env


def frame_reader(env: gym.Env[Any, Any], frames: str = "auto") -> Callable[[Any], Frame]:
    """How an observation of this environment becomes a frame.

    Raises:
        ConfigError: it renders no arrays and its observations are no pictures.
    """
    renders = env.render_mode == "rgb_array"
    picture = _picture_in(env.observation_space)
    if frames != "observation" and renders:
        return lambda _: _read(_render(env), env)
    if frames != "render" and picture is not None:
        return lambda observation: _read(picture(observation), env)
    raise ConfigError(
        f'Expected an environment with frames: render_mode="rgb_array", or observations that are uint8 pictures of shape '
        f"(height, width, 3). {_name_of(env)} renders {env.metadata.get('render_modes', [])!r} and observes "
        f"{env.observation_space}. Wrap it (gymnasium.wrappers.AddRenderObservation) or choose another one."
    )


def words_of(env: gym.Env[Any, Any], given: Sequence[str] = ()) -> tuple[str, ...]:
    """What the discrete actions of an environment are called; empty where they are not discrete.

    Words come from `given`, else from the environment: its `action_words`, its `get_action_meanings()`, its enumeration
    `actions`; else they are "Action 0", "Action 1", ...

    Raises:
        ConfigError: the number of words is not the number of actions.
    """
    space = env.action_space
    if not isinstance(space, spaces.Discrete):
        if given:
            raise ConfigError(f"Expected no action words for {_name_of(env)}: its actions are {space}, not discrete.")
        return ()
    count = int(space.n)
    if given and len(given) != count:
        raise ConfigError(f"Expected {count} action words for {_name_of(env)}, got {len(given)}: {', '.join(map(repr, given))}.")
    words = tuple(given) or _own_words(env.unwrapped, count) or tuple(f"Action {number}" for number in range(count))
    try:
        return tuple(action_from_text(word).text for word in words)
    except ActionError as error:
        raise ConfigError(f"Expected words for the actions of {_name_of(env)}, but: {error}") from error


def action_in_words(action: Any, space: spaces.Space[Any], words: tuple[str, ...]) -> Action:
    """An action of this space with its words, and its id where the space is discrete.

    Raises:
        ConfigError: it has too many numbers to be said.
    """
    if isinstance(space, spaces.Discrete):
        number = int(action) - int(space.start)
        return Action(text=words[number], id=number)
    if isinstance(action, str):
        return action_from_text(action)
    numbers = (f"{round(number, _DECIMALS) + 0.0:.{_DECIMALS}f}" for number in _numbers(action))  # + 0.0: no "-0"
    text = " ".join(["Action", *(number.rstrip("0").rstrip(".") for number in numbers)])
    if len(text) > MAX_TEXT_LENGTH:
        raise ConfigError(
            f"Expected actions that can be said in {MAX_TEXT_LENGTH} characters, but those of {space} take {len(text)}. "
            "Wrap the environment so that it takes fewer numbers."
        )
    return Action(text=text)


def record_episode(
    env: gym.Env[Any, Any],
    act: Act,
    *,
    read: Callable[[Any], Frame],
    words: tuple[str, ...],
    steps: int,
    seed: int,
    size: tuple[int, int] | None,
    metadata: Mapping[str, Any],
) -> Episode:
    """Play until the environment ends the episode, at most `steps` actions.

    Args:
        env: the environment.
        act: the policy.
        read: from `frame_reader`.
        words: from `words_of`.
        steps: most actions.
        seed: of the reset.
        size: (height, width) that frames are cropped and resized to; None leaves them.
        metadata: what the episode is to tell, beside seed, rewards and how it ended.

    Raises:
        ActionError: the policy chose an action that the environment does not have.
        FailedEpisodeError: environment or policy raised something; other seeds may do.
        SimulatorError: frames change their size on the way.
    """
    with _failing(_name_of(env), seed):
        observation, info = env.reset(seed=seed)
    frames, actions, rewards = [_fitted(read(observation), size)], [], []
    terminated = truncated = False
    while len(actions) < steps and not (terminated or truncated):
        with _failing("The policy", seed, step=len(actions)):
            action = act(observation, info)
        if not env.action_space.contains(action):
            raise ActionError(f"Expected the policy to choose an action of {env.action_space}, got {action!r:.80}.")
        with _failing(_name_of(env), seed, step=len(actions)):
            observation, reward, terminated, truncated, info = env.step(action)
        actions.append(action_in_words(action, env.action_space, words))
        rewards.append(float(reward) if np.isfinite(float(reward)) else None)
        frames.append(_fitted(read(observation), size))
    if len({frame.shape for frame in frames}) != 1:
        raise SimulatorError(
            f"Expected frames of one size, but {_name_of(env)} showed {sorted({frame.shape[:2] for frame in frames})} in one "
            "episode. Give a size, so that all of them are brought to it."
        )
    ending = {"rewards": rewards, "terminated": bool(terminated), "truncated": bool(truncated)}
    return Episode(frames=np.stack(frames), actions=tuple(actions), metadata={**metadata, "seed": seed, **ending})


@contextmanager
def _failing(who: str, seed: int, step: int = 0) -> Iterator[None]:
    """Tell in which episode an environment or a policy failed: anything may come out of code that is not ours."""
    try:
        yield
    except BagelWorldError:
        raise
    except Exception as error:
        raise FailedEpisodeError(
            f"{who} failed at step {step} of the episode of seed {seed}: {type(error).__name__}: {error}"
        ) from error


def _spec_of(env_id: str) -> EnvSpec:
    """What Gymnasium knows about an id; an id "module:Name" may also name a class that nobody registered."""
    package, separator, name = env_id.rpartition(":")
    hint = 'Is its package installed? Name it in front ("package:Name-v0"), or name a class ("module:Class").'
    try:
        module = importlib.import_module(package) if separator else None
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise UnknownNameError(f"Expected an environment, got {env_id!r}: there is no module {package!r}. {hint}") from error
    try:
        return gym.spec(name)
    except gym.error.Error as error:
        if callable(getattr(module, name, None)):
            return EnvSpec(id=name, entry_point=env_id)
        raise UnknownNameError(f"Expected an environment that Gymnasium knows, got {env_id!r}: {error} {hint}") from error


def _renders_arrays(spec: EnvSpec) -> bool:
    """Whether an environment says that it does; one that does not say is asked to."""
    maker = spec.entry_point if callable(spec.entry_point) else load_env_creator(str(spec.entry_point))
    modes = getattr(maker, "metadata", {}).get("render_modes")
    return modes is None or "rgb_array" in modes


def _make(env_id: str, options: dict[str, Any], *, rendering: bool) -> gym.Env[Any, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters about an environment is in the errors
            spec = _spec_of(env_id)
            if rendering and _renders_arrays(spec):
                options = {"render_mode": "rgb_array", **options}
            return gym.make(spec, disable_env_checker=True, **options)
    except BagelWorldError:
        raise
    except TypeError as error:
        raise ConfigError(f"Expected options that {env_id!r} takes, got {options!r}: {error}.") from error
    except Exception as error:  # every environment fails in its own way, and all of it means one thing to the caller
        raise SimulatorError(f"The environment {env_id!r} could not be made: {type(error).__name__}: {error}") from error


def _picture_in(space: spaces.Space[Any]) -> Callable[[Any], Any] | None:
    """What takes the picture out of an observation; None where there is none."""
    if _is_picture(space):
        return lambda observation: observation
    if isinstance(space, spaces.Dict):
        keys = [key for key, each in space.spaces.items() if _is_picture(each)]
        chosen = keys if len(keys) == 1 else [key for key in _PICTURE_KEYS if key in keys]
        if chosen:
            return lambda observation: observation[chosen[0]]
    return None


def _is_picture(space: spaces.Space[Any]) -> bool:
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) not in (2, 3):
        return False
    return min(space.shape[:2]) >= _SMALLEST_PICTURE and (len(space.shape) == 2 or space.shape[2] in _CHANNELS)


def _own_words(env: Any, count: int) -> tuple[str, ...]:
    """What an environment itself calls its actions; empty where it does not say."""
    words = getattr(env, "action_words", None)
    if words is None and callable(getattr(env, "get_action_meanings", None)):
        words = env.get_action_meanings()
    if words is None:
        named = {int(each): name for name, each in getattr(getattr(env, "actions", None), "__members__", {}).items()}
        words = [named[number] for number in range(count) if number in named]  # spaces often leave out the last ones
    if len(words) != count or not all(isinstance(word, str) for word in words):
        return ()
    return tuple(
        word.replace("_", " ").capitalize() if "_" in word or word.isupper() or word.islower() else word for word in words
    )


def _render(env: gym.Env[Any, Any]) -> Any:
    try:
        return env.render()
    except gym.error.Error as error:
        raise SimulatorError(f"{_name_of(env)} could not render: {error}") from error


def _read(picture: Any, env: gym.Env[Any, Any]) -> Frame:
    if not isinstance(picture, np.ndarray):
        raise SimulatorError(f"Expected {_name_of(env)} to render an array, got {type(picture).__name__}.")
    try:
        return read_image(picture)
    except ImageError as error:
        raise SimulatorError(f"{_name_of(env)} shows something that is no frame: {error}") from error


def _fitted(frame: Frame, size: tuple[int, int] | None) -> Frame:
    if size is None or frame.shape[:2] == size:
        return frame
    cropped = Image.fromarray(center_crop(frame, size))
    return np.array(cropped.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _numbers(action: Any) -> list[float]:
    """The numbers of an action, in order."""
    if isinstance(action, Mapping):
        return [number for each in action.values() for number in _numbers(each)]
    if isinstance(action, (tuple, list)):
        return [number for each in action for number in _numbers(each)]
    return np.asarray(action, dtype=np.float64).ravel().tolist()


def _name_of(env: gym.Env[Any, Any]) -> str:
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__
