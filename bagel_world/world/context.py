"""Context: what has been seen and said, as a value.

`observe` and `say` only validate and record; the model runs when somebody imagines or asks. What it computed is remembered by
the node that each event hangs on, so that every context that shares a past shares its keys and values too. Three branches hang
on a node, for guidance: the full one; the one without the last text, which is a prefix of the full one; and the one without
images, which is computed when it is first needed.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from bagel_world.errors import ActionError, ConfigError, StateError
from bagel_world.images import ImageLike, read_image
from bagel_world.model.cache import KVCache
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.model.config import BagelConfig
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.types import Frame, Thought
from bagel_world.world.config import ContextConfig, See

MAX_TEXT_TOKENS = 8192
"""Longest text that may enter a context, in tokens."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Seen:
    """A frame, after the VAE's resize rule.

    Its latents are those in `latents` where it was imagined and these are reused; otherwise they come from the autoencoder:
    sampled with `noise`, or the posterior mean without.
    """

    frame: Frame
    tokens: int
    see: See
    noise: Float[Tensor, "z h w"] | None = None
    latents: Float[Tensor, "z h w"] | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A text and its ids. A thought enters the full branch only, and leaves with its frame."""

    text: str
    ids: tuple[int, ...]
    thought: bool = False

    @property
    def tokens(self) -> int:
        """Number of tokens, marks included."""
        return len(self.ids)


Event = Seen | Said


@dataclass(frozen=True, slots=True)
class Branch:
    """A past to continue from: its keys and values, and the next rotary position."""

    cache: KVCache = field(default_factory=KVCache)
    position: int = 0


@dataclass(slots=True, eq=False, weakref_slot=True)
class Node:
    """An event behind its parent, and what the model made of the way here (None until it ran).

    `cut` says that a run of computation ended here: a restored context replays the same runs, hence the same bits.
    """

    parent: Node | None
    event: Event | None
    full: Branch | None = None
    no_image: Branch | None = None
    cut: bool = False

    @property
    def no_text(self) -> Branch:
        """The branch without the last text."""
        assert self.full is not None
        if self.parent is None or not isinstance(self.event, Said):
            return self.full
        if self.event.thought:
            return self.parent.no_text
        assert self.parent.full is not None
        return self.parent.full


def _root() -> Node:
    return Node(parent=None, event=None, full=Branch(), no_image=Branch())


@dataclass(frozen=True, slots=True)
class Reader:
    """How a checkpoint reads frames and texts: everything a context needs to validate and count."""

    config: BagelConfig
    tokenizer: Tokenizer
    settings: ContextConfig
    origin: tuple[object, ...] | None = None
    """That of the checkpoint: see `Checkpoint.origin`."""
    saved: WeakValueDictionary[bytes, Node] = field(default_factory=WeakValueDictionary)
    """How far contexts had been read when their states were taken, by the digest of the state: as long as somebody goes on from
    there, it need not be read again."""

    def reads_as(self, checkpoint: Checkpoint) -> bool:
        """Whether this is a reader of the same checkpoint, loaded once or twice."""
        return self.config is checkpoint.config or (self.origin is not None and self.origin == checkpoint.origin)

    def seen(self, image: ImageLike, generator: torch.Generator | None = None, see: See | None = None) -> Seen:
        """The event of seeing an image; `generator` draws the noise of its latents, `see` overrides the settings."""
        see = see or self.settings.see
        frame = self.config.world.transforms.vae.apply(read_image(image))
        frame.flags.writeable = False  # a context is a value, and so is what it shows
        height, width = frame.shape[:2]
        tokens, noise = 0, None
        if see != "vit":
            tokens += (height // self.config.latent_stride) * (width // self.config.latent_stride) + 2
        if see != "latents":
            vit_width, vit_height = self.config.world.transforms.vit.size(width, height)
            tokens += (vit_height * vit_width) // self.config.vit_config.patch_size**2 + 2
        if generator is not None:
            noise = torch.randn(self.latents_shape(frame), generator=generator)
        return Seen(frame, tokens, see, noise)

    def latents_shape(self, frame: Frame) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of a frame."""
        vae, (height, width) = self.config.vae_config, frame.shape[:2]
        return vae.z_channels, height // vae.downsample, width // vae.downsample

    def said(self, text: str, *, thought: bool = False) -> Said:
        """The event of saying a text."""
        if not isinstance(text, str):
            raise ActionError(f"Expected a text (str), got {type(text).__name__}: {text!r:.80}.")
        if not text.strip():
            raise ActionError("Expected a text with words in it, got an empty one. Say what to do, or what to ask.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ActionError(f"Expected a text that can be written as UTF-8, got {text!r:.80} ({error.reason}).") from error
        # A token covers a few dozen characters at most; the cheap test spares tokenizing what is hopeless.
        ids = self.tokenizer.encode(text) if len(text) <= 16 * MAX_TEXT_TOKENS else ()
        if not ids or len(ids) > MAX_TEXT_TOKENS:
            raise ActionError(f"Expected a text of at most {MAX_TEXT_TOKENS} tokens, got {len(text)} characters. Say it shorter.")
        return Said(text, ids, thought)


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What has been seen and said so far. Every method returns a new context; none changes this one."""

    reader: Reader
    prompt: Said | None = None
    events: tuple[Event, ...] = ()
    dropped_frames: int = 0
    node: Node = field(default_factory=_root)

    def observe(self, frame: ImageLike, *, generator: torch.Generator | None = None) -> Context:
        """This context with one more frame.

        Args:
            frame: array, Pillow image, path or bytes; brought to the checkpoint's size by its resize rule.
            generator: samples the autoencoder's posterior, as the published program does; its mean is taken where None.

        Raises:
            ImageError: not an image.
        """
        return self.append(self.reader.seen(frame, generator))

    def observe_imagined(self, frame: Frame, latents: Float[Tensor, "z h w"]) -> Context:
        """This context with one more frame, which was decoded from these latents.

        The latents are kept in half precision, in the context and in its state alike: small, and the same after a restore.

        Raises:
            ConfigError: latents of another shape.
        """
        seen = self.reader.seen(frame)
        resized = seen.frame.shape != frame.shape  # then these latents are of another picture
        if not self.reader.settings.reuse_latents or seen.see == "vit" or resized:
            return self.append(seen)
        shape = self.reader.latents_shape(seen.frame)
        if tuple(latents.shape) != shape:
            raise ConfigError(f"Expected latents of this frame, of shape {shape}, got {tuple(latents.shape)}.")
        return self.append(replace(seen, latents=latents.half().to(latents.dtype)))

    def say(self, text: str | Thought) -> Context:
        """This context with one more text: an action, an instruction, a question; or with a thought of its own.

        A thought without words is none: it leaves the context as it is.

        Raises:
            ActionError: not a text, empty, or endless.
        """
        if isinstance(text, Thought):
            return self.append(self.reader.said(text.text, thought=True)) if text.text.strip() else self
        return self.append(self.reader.said(text))

    def fork(self) -> Context:
        """An independent continuation, which shares everything that the model has read so far; see `fork_all`."""
        return fork_all([self])[0]

    def append(self, event: Event) -> Context:
        """This context with one more event; where that is a frame too many, old frames leave."""
        if isinstance(event, Seen) and len(self.frames) >= self.reader.settings.max_frames:
            return self._evicted().append(event)
        return self._with(event)

    def look_again(self) -> Context:
        """This context with its last frame shown to the ViT as well. It is no frame more, so that none has to leave."""
        return self._with(self.reader.seen(self.frames[-1], see="vit"))

    def _with(self, event: Event) -> Context:
        return replace(self, events=(*self.events, event), node=Node(self.node, event))

    def _evicted(self) -> Context:
        """This context without its old frames, and what was said and thought at them; to be encoded anew from position 0.

        What was said before the first frame stays.
        """
        settings = self.reader.settings
        starts = [place for place, event in enumerate(self.events) if isinstance(event, Seen)]
        turns = [self.events[start:end] for start, end in zip(starts, [*starts[1:], len(self.events)], strict=True)]
        recent = settings.keep_frames - 1 - settings.sinks
        kept = turns[: settings.sinks] + (turns[len(turns) - recent :] if recent else [])
        events = (*self.events[: starts[0]], *(event for turn in kept for event in turn))
        return rebuild(self.reader, self.prompt, events, self.dropped_frames + len(turns) - len(kept))

    def with_prompt(self, prompt: str) -> Context:
        """This context as if it had begun with another prompt; to be encoded anew."""
        return rebuild(self.reader, self.reader.said(prompt), self.events, self.dropped_frames)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames a prediction would be conditioned on, oldest first; uint8 (height, width, 3)."""
        return tuple(event.frame for event in self.events if isinstance(event, Seen))

    @property
    def tokens(self) -> int:
        """Number of tokens a prediction would be conditioned on."""
        return sum(event.tokens for event in self.events) + (self.prompt.tokens if self.prompt else 0)

    def get_state(self) -> dict[str, Any]:
        """JSON values and uint8 / float16 / float32 arrays from which `restore` rebuilds this context, run by run."""
        events, arrays = [], {}
        cuts = [node.cut for node in _path(self.node)]
        for place, event in enumerate(self.events):
            if isinstance(event, Seen):
                events.append({"kind": "frame", "see": event.see})
                arrays[f"frame{place}"] = _to_png(event.frame)
                if event.noise is not None:
                    arrays[f"noise{place}"] = event.noise.numpy()
                if event.latents is not None:
                    arrays[f"latents{place}"] = event.latents.half().cpu().numpy()
            else:
                events.append({"kind": "thought" if event.thought else "text", "text": event.text})
        prompt = self.prompt.text if self.prompt else None
        state = {"prompt": prompt, "events": events, "dropped_frames": self.dropped_frames, "cuts": cuts, **arrays}
        self.reader.saved[_digest(state)] = _read_part(self.node)
        return state


def fork_all(contexts: Sequence[Context]) -> list[Context]:
    """Independent continuations, which share everything that the model has read so far, and among each other what it has not.

    What it has not read yet hangs on nodes of their own: whatever is computed for them, in whichever batch, leaves the bits of
    the contexts as they would have been.
    """
    copies: dict[int, Node] = {}
    forks = []
    for context in contexts:
        node = _read_part(context.node)
        for each in _path(context.node)[len(_path(node)) :]:
            node = copies.setdefault(id(each), Node(node, each.event, cut=each.cut))
        forks.append(replace(context, node=node))
    return forks


def restore(reader: Reader, state: dict[str, Any]) -> Context:
    """The context whose `get_state` gave this value.

    Raises:
        StateError: not such a value.
    """
    try:
        events = tuple(_restored(reader, place, event, state) for place, event in enumerate(state["events"]))
        prompt = None if state["prompt"] is None else reader.said(state["prompt"])
        cuts = [bool(cut) for cut in state["cuts"]]
        return rebuild(reader, prompt, events, int(state["dropped_frames"]), cuts, read=reader.saved.get(_digest(state)))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, OSError, SyntaxError) as error:
        raise StateError(f"This is not the state of a context of this world: {error!r}. Use what get_state returned.") from error


def _digest(state: dict[str, Any]) -> bytes:
    """Of everything in a state: equal states have equal digests."""
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(state):
        value = state[key]
        if isinstance(value, np.ndarray):
            digest.update(f"{key} {value.dtype} {value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        else:
            digest.update(f"{key} {json.dumps(value)}".encode())
    return digest.digest()


def _restored(reader: Reader, place: int, event: dict[str, Any], state: dict[str, Any]) -> Event:
    if event["kind"] != "frame":
        return reader.said(event["text"], thought=event["kind"] == "thought")
    picture = Image.open(io.BytesIO(np.asarray(state[f"frame{place}"]).tobytes())).convert("RGB")
    seen = reader.seen(np.asarray(picture), see=event["see"])
    noise, latents = (_restored_latents(reader, seen, state.get(f"{name}{place}")) for name in ("noise", "latents"))
    return replace(seen, noise=noise, latents=latents)


def _restored_latents(reader: Reader, seen: Seen, values: Any) -> Float[Tensor, "z h w"] | None:
    """Latents, or their noise, if they are of this frame."""
    if values is None:
        return None
    shape = reader.latents_shape(seen.frame)
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"expected finite floats of shape {shape} for a frame, got {values!r:.80}")
    return torch.from_numpy(np.array(values)).float()


def rebuild(
    reader: Reader,
    prompt: Said | None,
    events: tuple[Event, ...],
    dropped_frames: int,
    cuts: list[bool] | None = None,
    *,
    read: Node | None = None,
) -> Context:
    """A context of these events: on a fresh root, or behind what was read of just these before."""
    node = _root() if read is None else read
    chain: tuple[Event, ...] = events if prompt is None else (prompt, *events)
    if cuts is not None and len(cuts) != len(chain):
        raise ValueError(f"expected {len(chain)} cuts, got {len(cuts)}")
    known = tuple(each.event for each in _path(node) if each.event is not None)
    for place, event in enumerate(chain[len(known) :], len(known)):
        node = Node(node, event, cut=bool(cuts and cuts[place]))
    chain = known + chain[len(known) :]  # the very frames whose latents are remembered
    return Context(reader, prompt, chain if prompt is None else chain[1:], dropped_frames, node)


def _read_part(node: Node) -> Node:
    """The newest node up to here that the model has read; the root counts as read."""
    while node.full is None:
        assert node.parent is not None, "an empty context has been read"
        node = node.parent
    return node


def _path(node: Node) -> list[Node]:
    """The nodes from the root's first child to this one."""
    path = []
    while node.parent is not None:
        path.append(node)
        node = node.parent
    return path[::-1]


def _to_png(frame: Frame) -> np.ndarray[Any, np.dtype[np.uint8]]:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG")
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)
