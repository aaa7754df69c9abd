"""The options of the kind ``tempo``."""

from typing import Literal

from pydantic import Field

from luxima_retention.config.addresses import Url
from luxima_retention.config.policies import PolicySettings
from luxima_retention.config.settings import HttpSettings, http_options


class TempoPolicy(PolicySettings):
    """Options of ``kind = "tempo"``: the Tempo whose retention is checked."""

    url: Url = Field(
        "",
        description="Address of Tempo itself, of the process that applies retention: compactor in 2.x,"
        " backend-worker in 3.x.",
    )
    http: HttpSettings = http_options()
    mode: Literal["minimum", "maximum", "exact"] = Field(
        "exact",
        description="What the period promises: minimum (nothing younger goes), maximum (nothing older"
        " stays) or exact (both, give or take one block).",
    )
