"""Plan in an environment of your own: anything that shows pictures, and a line that says what the words mean to it.

The planner imagines futures in nano, takes the first step of the best, looks at what really came, and plans anew.
"""

import gymnasium as gym
import numpy as np

from bagel_world import BagelWorld
from bagel_world.agents import Planner


class Panorama(gym.Env):
    """A robot's camera on a turning head, as a stand-in: a window that slides along one long picture."""

    observation_space = gym.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, picture):
        self.picture = picture

    def reset(self, *, seed=None, options=None):
        """Look at the middle."""
        super().reset(seed=seed)
        self.place = 96
        return self.picture[:, 96:160], {}

    def step(self, action):
        """0 turns the head to the left, 1 to the right."""
        self.place = int(np.clip(self.place + (-24, 24)[action], 0, self.picture.shape[1] - 64))
        return self.picture[:, self.place : self.place + 64], 0.0, False, False, {}


def main():
    """Turn until the view is the goal picture."""
    world = BagelWorld.from_pretrained("nano")
    rooms = [np.repeat(walk.frames[0], 2, axis=1) for walk in world.starts[:2]]
    env = Panorama(np.concatenate(rooms, axis=1))
    report = Planner(world, "exhaustive", "goal_image").run(
        env, goal=env.picture[:, 48:112], actions={"Look left": 0, "Look right": 1}, steps=8
    )
    for step in report.steps:
        print(f"{step.action.text:<11} surprise {step.surprise:.2f}  trust {step.trust:.2f}  {step.plan.reason}")
    print(f"ended by {report.end!r}: score {report.score:.2f}, {report.cost.imagined_frames} imagined frames")


if __name__ == "__main__":
    main()
