"""Variables of the environment that are not ours: standard ones that a default of ours must not override.

Loaded by those that need them only; what is ours is read by :mod:`~luxima_retention.config.sources`.
"""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class OpenTelemetry(BaseSettings):
    """Of the OpenTelemetry SDK, which reads them by itself (specification, "SDK environment variables")."""

    model_config = SettingsConfigDict(case_sensitive=True, extra="ignore", frozen=True)

    service_name: str | None = Field(None, alias="OTEL_SERVICE_NAME")
    resource_attributes: str = Field("", alias="OTEL_RESOURCE_ATTRIBUTES")
    timeout: str = Field("", alias="OTEL_EXPORTER_OTLP_TIMEOUT")
    send_every: str = Field("", alias="OTEL_BSP_SCHEDULE_DELAY")
