"""The options of the kind ``table``."""

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from luxima_retention.config.policies import PolicySettings
from luxima_retention.config.settings import TableSettings, tables_of

if TYPE_CHECKING:
    pass


class TablePolicy(PolicySettings):
    """Options of ``kind = "table"``: rows of tables in PostgreSQL."""

    tables: Annotated[tuple[TableSettings, ...], BeforeValidator(tables_of)] = Field(
        (), description="The tables: each a name, or a table with the settings below."
    )
    database: str = Field("", description="Name of their connection; empty is section database.")
