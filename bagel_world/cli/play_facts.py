"""What `bagel-world play` tells beside the picture."""

from __future__ import annotations

from bagel_world.envs.player import Player

_BAR = 12


def facts(player: Player) -> list[tuple[str, str]]:
    """Labels and values of where the walk stands, in the order in which they are shown."""
    now, info = player.now, player.now.info
    ahead = f" (+{player.redoable} undone)" if player.redoable else ""
    told = [("step", f"{player.steps}{ahead}"), ("action", now.action or "-")]
    if "thought" in info:
        told.append(("thought", info["thought"] or "-"))
    if info["goal_distance"] is not None:
        similarity = 1.0 - info["goal_distance"]
        filled = round(_BAR * min(1.0, max(0.0, similarity)))
        told.append((info["reward_source"], f"{similarity:.3f} " + "\u2588" * filled + "\u2591" * (_BAR - filled)))
        told.append(("reward", f"{now.reward:+.3f}"))
    dropped = f", {info['dropped_frames']} dropped" if info["dropped_frames"] else ""
    told.append(("context", f"{info['context_frames']} frames, {info['context_tokens']} tokens{dropped}"))
    told.append(("step time", "-" if now.seconds is None else f"{1000 * now.seconds:.0f} ms"))
    return told


def one_line(text: str) -> str:
    """The text without line breaks and control characters, so that no words can take over a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
