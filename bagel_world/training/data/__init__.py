"""From recorded episodes to batches."""
