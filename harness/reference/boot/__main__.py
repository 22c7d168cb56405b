"""`python -m reference.boot --data DIR --port N`"""

from __future__ import annotations

import signal
import sys

from .signals import end_cleanly

# Before anything slow is imported: a process with number 1 ignores what it has no handler for.
signal.signal(signal.SIGTERM, end_cleanly)
signal.signal(signal.SIGINT, end_cleanly)

from .main import main  # noqa: E402

sys.exit(main())
