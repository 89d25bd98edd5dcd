"""`python -m export` is `fedau2-export`."""

import sys

from export.cli import main

sys.exit(main())
