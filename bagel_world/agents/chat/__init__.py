"""ChatBagel: the understanding expert of a world as a LangChain chat model."""
