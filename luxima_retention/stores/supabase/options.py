"""The options of the kind ``supabase``."""

import re
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from luxima_retention.config.addresses import Url
from luxima_retention.config.policies import PolicySettings
from luxima_retention.config.settings import HttpSettings, TableSettings, http_options, tables_of
from luxima_retention.config.values import Column

#: the platform's own API, which tells what it keeps
API = "https://api.supabase.com"
#: the address of a hosted project
_PROJECT = re.compile(r"https://([a-z0-9]+)\.supabase\.(?:co|in)(?:/.*)?")


class SupabasePolicy(PolicySettings):
    """Options of ``kind = "supabase"``: tables over HTTPS, and the platform's own logs."""

    tables: Annotated[tuple[TableSettings, ...], BeforeValidator(tables_of)] = Field(
        (), description="The tables: each a name, or a table with the settings below."
    )
    url: Url = Field("", description="Address of PostgREST: https://REF.supabase.co/rest/v1.")
    key: SecretStr | None = Field(None, description="Secret key (sb_secret_…) or legacy key for url.")
    http: HttpSettings = http_options()
    database: str = Field("", description="Name of their connection; empty is section database.")
    rest_role: Column = Field("", description="Role that key stands for; migrate lets it call the functions.")
    management_http: HttpSettings = http_options(
        "How the Management API is reached, to ask the platform what it keeps; its bearer_token may read the"
        " project of url."
    )

    @property
    def project(self) -> str:
        """Reference of the project that the platform is asked about: the first name in ``url``; or empty."""
        return _PROJECT.sub(r"\1", self.url) if self.management_http.bearer_token else ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.management_http.bearer_token and not _PROJECT.fullmatch(self.url):
            raise ValueError(
                "management_http.bearer_token needs a url such as https://REF.supabase.co/rest/v1"
            )
        if self.url and not (self.tables or self.management_http.bearer_token):
            raise ValueError("url is set, but neither tables nor management_http.bearer_token")
        if self.tables and self.url and self.key is None:
            raise ValueError("key is required with url and tables")
        return self
