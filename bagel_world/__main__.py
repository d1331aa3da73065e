"""`python -m bagel_world` is `bagel-world`; `torchrun -m bagel_world train ...` starts several processes."""

from __future__ import annotations

from bagel_world.cli import main

if __name__ == "__main__":
    main()
