"""``python -m mathrl``: what ``torchrun -m mathrl`` and installs without scripts call."""

from mathrl.cli import main

if __name__ == "__main__":
    main()
