"""Imagine what every action would show, then take the one that comes closest to a goal picture: one-step planning.

All candidate futures are imagined in one batched call, and the live environment stays where it is until a choice is made.
"""

import gymnasium as gym
import numpy as np

import bagel_world  # noqa: F401 - registers the environments

STEPS = 6


def main() -> None:
    """Walk towards a picture that was seen a few steps away."""
    env = gym.make("BagelNavigate-v0")
    walk = env.unwrapped
    observation, _ = env.reset(seed=4)

    # The goal: what the world looks like after two turns to the left and a step. Then back to where we were.
    state = walk.get_state()
    for action in (1, 1, 0):
        goal, *_ = env.step(action)
    walk.set_state(state)

    for step in range(STEPS):
        futures = walk.branch(range(3))
        scores = walk.world.similarity([future.frame for future in futures], [goal] * len(futures))
        best = int(np.argmax(scores))
        observation, *_ = env.step(best)
        print(f"step {step}: {futures[best].action.text:<13} similarity to the goal {scores[best]:.3f}")
    env.close()
    print("last frame:", observation.shape, observation.dtype)


if __name__ == "__main__":
    main()
