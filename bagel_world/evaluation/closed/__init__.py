"""Closed loop: missions in the real simulator, who tries them, and how they ended."""
