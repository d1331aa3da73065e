"""A LangChain agent that looks ahead before it acts: it compares imagined futures with a goal picture and commits the best.

The chat model below is ten lines of rules, so that this runs anywhere; put a real one in its place, and nothing else changes.
"""

import re

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from bagel_world import BagelWorld
from bagel_world.agents import WorldSession, make_world_tools

FUTURES = [["Look left"], ["Look right"], ["Look left", "Look left"]]


class Rules(BaseChatModel):
    """Reads what the tools say; compares, then commits, until nothing comes nearer."""

    _llm_type = "rules"

    def bind_tools(self, tools, **settings):
        """Rules need no schemas."""
        return self

    def _generate(self, messages, stop=None, run_manager=None, **settings):
        best = re.search(r"Future (\d) comes nearest", messages[-1].text)
        name, arguments = ("commit", {"action": FUTURES[int(best[1]) - 1][0]}) if best else ("compare", {"futures": FUTURES})
        call = {"name": name, "args": arguments, "id": str(len(messages))}
        done = "nearer than standing still" in messages[-1].text
        message = AIMessage("I am there.") if done else AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=message)])


def main() -> None:
    """Walk to where a picture was taken, two turns away."""
    world = BagelWorld.from_pretrained("nano")
    goal = WorldSession(world, seed=4).imagine([["Look left", "Look left"]])[0][-1].frame
    session = WorldSession(world, goal=goal, seed=4, limits={"steps": 8})
    agent = create_agent(Rules(), make_world_tools(session))
    result = agent.invoke({"messages": [("human", "Walk to where the goal picture was taken.")]})
    for message in result["messages"]:
        print(f"{message.type:>5}: {message.text.splitlines()[0] if message.text else message.tool_calls[0]['args']}")


if __name__ == "__main__":
    main()
