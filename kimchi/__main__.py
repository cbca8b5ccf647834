"""`python -m kimchi` is the `kimchi` command."""

import sys

from kimchi.cli import main

if __name__ == "__main__":
    sys.exit(main())
