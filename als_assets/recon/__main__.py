"""The entry point of ``python -m als_assets.recon``.

Here: handing over to the command line and nothing else. What belongs here is one line. Not here: options and commands, see
``cli.py``.
"""

import sys

from als_assets.recon.cli import main

if __name__ == "__main__":
    sys.exit(main())
