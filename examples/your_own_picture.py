"""Step into a picture of your own: any image becomes the first frame of a world."""

import numpy as np
from PIL import Image

from bagel_world import BagelWorld
from bagel_world.world.record import save_episode, save_movie
from bagel_world.world.rollout import rollout


def draw_room() -> Image.Image:
    """A stand-in for a photo: a wall, a floor and a red box, 200 x 150 pixels."""
    room = np.empty((150, 200, 3), dtype=np.uint8)
    room[:80] = (205, 190, 160)
    room[80:] = (110, 100, 95)
    room[60:110, 120:160] = (190, 40, 35)
    return Image.fromarray(room)


def main() -> None:
    """Imagine four steps from the picture and save them."""
    world = BagelWorld.from_pretrained("nano")
    picture = draw_room().crop((25, 0, 175, 150))  # nano was taught square frames
    episode = rollout(world, world.observe(picture), ["Look left", "Look right", "Move forward", "Move forward"], seed=0)
    save_episode("own_picture", episode)
    save_movie("own_picture/walk.gif", episode.frames)
    print(f"{len(episode)} imagined steps in own_picture/")


if __name__ == "__main__":
    main()
