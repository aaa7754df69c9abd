"""The options of the kind ``prometheus``."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from luxima_retention.config.addresses import Url
from luxima_retention.config.policies import PolicySettings
from luxima_retention.config.settings import HttpSettings, http_options
from luxima_retention.config.values import listed


class PrometheusPolicy(PolicySettings):
    """Options of ``kind = "prometheus"``: the replicas whose retention is checked."""

    urls: Annotated[tuple[Url, ...], BeforeValidator(listed)] = Field(
        (), description="Addresses of the Prometheus servers, each replica by itself, with its path prefix."
    )
    mode: Literal["minimum", "maximum", "exact"] = Field(
        "exact",
        description="What the period promises: minimum (nothing younger goes), maximum (nothing older"
        " stays) or exact (both, give or take one block).",
    )
    http: HttpSettings = http_options()
