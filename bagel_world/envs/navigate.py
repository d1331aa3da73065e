"""BagelNavigate-v0: walk through a house."""

from __future__ import annotations

from bagel_world.envs.task_env import TaskEnv


class NavigateEnv(TaskEnv):
    """Walk through a house that a model dreams.

    ## Description
    The agent sees through its own eyes and says what it does; the model paints what it sees next. Places that have left the
    view may look different on return: what is remembered is what the context still holds (`info["context_frames"]`).

    ## Action Space
    `Discrete(4)`; the words are what the model is told:

    | id | words | in the simulator it was taught by |
    |---|---|---|
    | 0 | Move forward | half a meter, not at all where something is in the way |
    | 1 | Look left | turn left by 30 degrees |
    | 2 | Look right | turn right by 30 degrees |
    | 3 | Stay | nothing |

    With `action_mode="text"` the action is any text (`Text`, printable, at most 512 characters); the words above mean the same
    as their ids. With "either" it is `OneOf((Discrete(4), Text))`: a pair (0, id) or (1, text); a bare id or a bare text is
    understood too. In a vector environment that is a tuple of such actions.

    ## Observation Space
    The newest frame: `Box(0, 255, (height, width, 3), uint8)`, RGB, at the size the checkpoint was taught.

    ## Rewards
    Without a goal the reward is 0. With one, a scorer says how near the newest frame is to it, 1 meaning "there", and the reward
    is the progress: the score now minus the score before (`progress=False` pays the score itself). Over an episode the rewards
    add up to the last score minus the first.

    - `goal_image`: how alike frame and goal picture are in the checkpoint's own visual features; reached from 0.95 on.
    - `judge`: the checkpoint's own P(yes) to the question whether the goal in words is reached; reached from 0.5 on. Needs a
      checkpoint that was taught to write.
    - `random`: uniform noise, never reached: a control. And any function (frame, goal) -> float.

    `reward=None` takes `goal_image` for episodes with a goal picture, else `judge` for those with a goal in words where the
    checkpoint can write. How often each is right about success: `bagel-world eval calibration`.

    ## Starting State
    The first `start_frames` (2) frames of one of the checkpoint's held-out walks, picked by the seed. `reset(options=...)`
    takes instead `image` (array, PIL image or path: your own room), `history` (frames and the actions between them) or `state`;
    and with any of them `goal_image`, `goal_text`, `prompt`.

    ## Episode End
    - Terminated: the goal is reached, as far as the scorer can tell: the score is within `success_distance` of 1.
    - Truncated: after `horizon` steps. The environment counts by itself, no TimeLimit is needed.

    Text that cannot be an action leaves the frame as it is, calls no model, counts as a step, and is explained in
    `info["action_error"]`; an unknown id raises `ActionError`.

    ## Arguments
    ```python
    gym.make("BagelNavigate-v0", checkpoint="nano", action_mode="discrete", render_mode=None, horizon=64)
    ```

    - `checkpoint`: "nano", a folder, a hub id, or "fake" (numpy instead of a model: for development).
    - `device`, `dtype`: "auto", or "cpu", "cuda", ...; "float32", "bfloat16".
    - `sampling`: a preset ("exact", "fast") or its fields; None takes the checkpoint's own.
    - `context`: fields of `ContextConfig` over the checkpoint's own: how many frames are remembered, and how.
    - `action_mode`: "discrete", "text" or "either".
    - `reward`, `progress`, `success_distance`: see Rewards.
    - `horizon`: steps until truncation.
    - `start_frames`: frames of a starting episode that the context begins with.
    - `reset_options`: defaults of `reset(options=...)`.
    - `think`: the model writes a thought before every frame (`info["thought"]`).
    - `consistency`, `consistency_redraws`: the self-check (`info["action_read"]`, `info["agreement"]`, `info["redraws"]`).
    - `render_mode`: "rgb_array", "human" or "ansi".

    ## Version History
    - v0: initial version.
    """

    task = "navigate"
    shipped = "nano"


make_navigate_vector = NavigateEnv.vector
