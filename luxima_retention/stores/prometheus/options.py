"""The options of the kind ``prometheus``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from luxima_retention.config.policies import PolicySettings
from luxima_retention.config.values import check_address, listed


class PrometheusPolicy(PolicySettings):
    """Options of ``kind = "prometheus"``: the replicas whose retention is checked."""

    urls: Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)] = Field(
        (), description="Addresses of the Prometheus servers, each replica by itself, with its path prefix."
    )
    mode: Literal["minimum", "maximum", "exact"] = Field(
        "exact",
        description="What the period promises: minimum (nothing younger goes), maximum (nothing older"
        " stays) or exact (both, give or take one block).",
    )
    username: str = Field("", description="User name for basic authentication.")
    password: SecretStr | None = Field(None, description="Password of username.")
    password_file: str = Field("", description="File with the password of username, read for each request.")
    bearer_token: SecretStr | None = Field(None, description="Bearer token, when no user name is set.")
    bearer_token_file: str = Field(
        "", description="File with the bearer token, read for each request; it may be rotated."
    )
    ca_file: str = Field("", description="PEM file of the CA that signed the servers' certificates.")
    timeout: float = Field(
        10.0, gt=0, le=300, description="Seconds to wait for a connection and for each further byte."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for url in self.urls:
            check_address("urls", url)
        if bool(self.username) != bool(self.password or self.password_file):
            raise ValueError("username and password (or password_file) go together")
        given = (self.password, self.password_file, self.bearer_token, self.bearer_token_file)
        if sum(map(bool, given)) > 1:
            raise ValueError("set only one of password, password_file, bearer_token, bearer_token_file")
        return self
