"""``python -m segmentkit``: the same as the script ``segmentkit``."""

from segmentkit.machinery.cli import main

raise SystemExit(main())
