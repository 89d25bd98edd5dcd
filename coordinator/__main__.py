"""`python -m coordinator` is `fedau2-coordinator`."""

import sys

from coordinator.cli import main

sys.exit(main())
