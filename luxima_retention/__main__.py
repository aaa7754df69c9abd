"""``python -m luxima_retention``."""

from luxima_retention.cli import main

main()
