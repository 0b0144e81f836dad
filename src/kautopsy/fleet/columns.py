"""What the columns of the store's tables have in common, and the names of their constraints."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Integer, MetaData, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only where the key's type is exactly INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


def id_() -> Column[int]:
    """A row's number."""
    return Column("id", Id, primary_key=True)


def ref(name: str, target: str, *, null: bool = False, index: bool = False) -> Column[int]:
    """The number of a row of ``target``."""
    return Column(name, Id, ForeignKey(f"{target}.id"), nullable=null, index=index)


def text_(name: str, *, index: bool = False) -> Column[str]:
    """Text, empty where there is none."""
    return Column(name, Text, nullable=False, server_default="", index=index)


def count_(name: str) -> Column[int]:
    """A number that is counted up from 0."""
    return Column(name, BigInteger, nullable=False, server_default="0")


def time_(name: str, *, null: bool = False, index: bool = False) -> Column[float]:
    """Seconds since 1970, UTC."""
    return Column(name, Double, nullable=null, index=index)
