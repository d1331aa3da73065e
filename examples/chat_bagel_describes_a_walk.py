"""One checkpoint dreams a walk and says what it sees on the way: ChatBagel, BAGEL as a LangChain chat model."""

from bagel_world import BagelWorld
from bagel_world.agents import ChatBagel
from bagel_world.agents.chat.messages import picture_block
from bagel_world.world.rollout import rollout

QUESTION = "Which object is ahead?"


def main() -> None:
    """Imagine four steps, then ask about every frame in one batch and stream one more answer."""
    world = BagelWorld.from_pretrained("nano-worlds")
    chat = ChatBagel(world=world, max_tokens=32)
    start = world.observe(world.starts[0].frames[0])
    walk = rollout(world, start, ["Look left", "Look left", "Move forward", "Move forward"], seed=0)

    questions = [[("human", [picture_block(frame), QUESTION])] for frame in walk.frames]
    answers = chat.batch(questions)
    words = ["Start", *(action.text for action in walk.actions)]
    for word, answer in zip(words, answers, strict=True):
        print(f"{word:<13} {answer.text}  ({answer.usage_metadata['total_tokens']} tokens)")

    print("Once more, as it is written: ", end="")
    for chunk in chat.stream(questions[-1]):
        print(chunk.text, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
