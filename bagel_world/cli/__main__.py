"""`python -m bagel_world.cli` is `bagel-world`."""

from __future__ import annotations

from bagel_world.cli import main

if __name__ == "__main__":
    main()
