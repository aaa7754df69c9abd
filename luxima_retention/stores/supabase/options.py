"""The options of the kind ``supabase``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from luxima_retention.config.addresses import Url
from luxima_retention.config.policies import PolicySettings
from luxima_retention.config.settings import HttpSettings, TableSettings, http_options, tables_of
from luxima_retention.config.values import Column

if TYPE_CHECKING:
    pass


class SupabasePolicy(PolicySettings):
    """Options of ``kind = "supabase"``: tables over HTTPS, and the platform's own logs."""

    tables: Annotated[tuple[TableSettings, ...], NoDecode, BeforeValidator(tables_of)] = Field(
        (), description="The tables: each a name, or a table with the settings of a table."
    )
    url: Url = Field("", description="Address of PostgREST: https://REF.supabase.co/rest/v1.")
    key: SecretStr | None = Field(None, description="Secret key (sb_secret_…) or legacy key for url.")
    http: HttpSettings = http_options("How url is reached, besides key.")
    database: str = Field("", description="Name of the connection that migrate sets the tables up with.")
    rest_role: Column = Field("", description="Role that key stands for; migrate lets it call the functions.")
    project_ref: str = Field("", description="Reference of the project, to ask the platform what it keeps.")
    management_http: HttpSettings = http_options(
        "How the Management API is reached; its bearer_token may read the project."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.url and not self.tables:
            raise ValueError("url is set, and tables names no table")
        if self.url and self.key is None:
            raise ValueError("key is required with url")
        token = self.management_http.bearer_token or self.management_http.bearer_token_file
        if bool(self.project_ref) != bool(token):
            raise ValueError("project_ref and management_http.bearer_token go together")
        return self
