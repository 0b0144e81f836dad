"""The first schema, as it was: this file does not change with ``schema.py``.

Revision ID: 0001
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

revision = "0001"
down_revision = None

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

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


meta = Table("meta", metadata, Column("key", String(64), primary_key=True), text_("value"))

profile = Table(
    "profile",
    metadata,
    id_(),
    Column("key", String(64), nullable=False, unique=True),
    Column("attributes", Text, nullable=False),
)

host = Table(
    "host",
    metadata,
    id_(),
    Column("name", String(255), nullable=False, unique=True),
    text_("model", index=True),
    text_("firmware"),
    text_("cpu"),
    time_("first_seen"),
    time_("last_seen", index=True),
    ref("profile_id", "profile", null=True),
    Column("ready", Boolean, nullable=True),
    time_("ready_at", null=True),
)

build = Table(
    "build",
    metadata,
    id_(),
    Column("release", String(255), nullable=False),
    Column("build_id", String(64), nullable=False, server_default=""),
    Column("arch", String(32), nullable=False, server_default=""),
    UniqueConstraint("release", "build_id", "arch"),
)

boot = Table(
    "boot",
    metadata,
    id_(),
    ref("host_id", "host"),
    Column("boot_key", String(64), nullable=False),
    ref("build_id", "build", null=True),
    time_("started", index=True),
    time_("last_seen"),
    Column("ending", String(16), nullable=False, server_default="running"),
    UniqueConstraint("host_id", "boot_key"),
)

source = Table(
    "source",
    metadata,
    id_(),
    Column("content", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    text_("name"),
    text_("path"),
    Column("host_name", String(255), nullable=False, server_default=""),
    count_("size"),
    time_("received", index=True),
    text_("sent_by"),
    Column("state", String(16), nullable=False, server_default="pending", index=True),
    text_("detail"),
    UniqueConstraint("content", "host_name"),
)

dump = Table(
    "dump",
    metadata,
    Column("source_id", Id, ForeignKey("source.id"), primary_key=True),
    text_("format"),
    text_("arch"),
    text_("build_id"),
    text_("release"),
    Column("dump_level", Integer, nullable=True),
    Column("complete", Boolean, nullable=True),
)

job = Table(
    "job",
    metadata,
    id_(),
    ref("source_id", "source"),
    Column("analysis", String(64), nullable=False),
    Column("state", String(16), nullable=False, server_default="queued"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    text_("lease_owner"),
    time_("lease_until", null=True),
    Column("outcome", String(16), nullable=True, index=True),
    text_("detail"),
    time_("created"),
    time_("started", null=True),
    time_("finished", null=True),
    Column("seconds", Double, nullable=True),
    UniqueConstraint("source_id", "analysis"),
    Index("ix_job_state_lease_until", "state", "lease_until"),
)

group = Table(
    "crash_group",
    metadata,
    id_(),
    Column("title", Text, nullable=False),
    Column("kind", String(32), nullable=False, index=True),
    Column("state", String(16), nullable=False, server_default="new", index=True),
    text_("fixed_in"),
    time_("ignored_until", null=True),
    text_("owner"),
    time_("regressed_at", null=True),
    time_("first_seen"),
    time_("last_seen", index=True),
    count_("crashes"),
    count_("deaths"),
    time_("created"),
    ref("merged_into", "crash_group", null=True, index=True),
)

signature = Table(
    "signature",
    metadata,
    id_(),
    Column("scheme", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("key", String(255), nullable=False),
    ref("group_id", "crash_group", index=True),
    text_("why"),
    text_("by"),
    text_("title"),
    count_("crashes"),
    time_("first_seen"),
    Column("features", LargeBinary, nullable=True),
    UniqueConstraint("scheme", "version", "key"),
)

frame = Table(
    "frame",
    metadata,
    Column("signature_id", Id, ForeignKey("signature.id"), primary_key=True),
    Column("depth", Integer, primary_key=True),
    text_("function", index=True),
    text_("module", index=True),
)

crash = Table(
    "crash",
    metadata,
    id_(),
    Column("event", String(64), nullable=False, unique=True),
    ref("host_id", "host", null=True),
    ref("build_id", "build", null=True),
    ref("source_id", "source", null=True, index=True),
    time_("at"),
    Column("at_known", Boolean, nullable=False),
    time_("received"),
    Column("origin", String(16), nullable=False),
    Column("kind", String(32), nullable=False),
    text_("title"),
    text_("trigger"),
    Column("fatal", Boolean, nullable=False),
    Column("corrupted", Boolean, nullable=False),
    text_("function"),
    text_("module"),
    text_("comm"),
    Column("uptime", Double, nullable=True),
    Column("exact", String(64), nullable=False, server_default=""),
    ref("signature_id", "signature", index=True),
    ref("group_id", "crash_group"),
    ref("profile_id", "profile", null=True),
    Column("exemplar", Boolean, nullable=False, server_default="0"),
    Column("document", LargeBinary, nullable=True),
    Index("ix_crash_group_id_at", "group_id", "at"),
    Index("ix_crash_host_id_at", "host_id", "at"),
)

report = Table(
    "report",
    metadata,
    id_(),
    ref("crash_id", "crash", index=True),
    ref("source_id", "source", null=True),
    Column("analysis", String(64), nullable=False),
    time_("made"),
    text_("verdict_kind"),
    text_("verdict_title"),
    text_("verdict_key"),
    Column("confidence", Double, nullable=True),
    text_("symbols"),
    Column("document", LargeBinary, nullable=False),
    UniqueConstraint("source_id", "analysis"),
)

finding = Table(
    "finding",
    metadata,
    Column("report_id", Id, ForeignKey("report.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", String(32), nullable=False, index=True),
    text_("title"),
    Column("confidence", Double, nullable=False),
    text_("severity"),
    text_("function", index=True),
    text_("module"),
)

group_host = Table(
    "group_host",
    metadata,
    Column("group_id", Id, ForeignKey("crash_group.id"), primary_key=True),
    Column("host_id", Id, ForeignKey("host.id"), primary_key=True, index=True),
    count_("crashes"),
    time_("first_seen"),
    time_("last_seen"),
    ref("profile_id", "profile", null=True),
)

group_build = Table(
    "group_build",
    metadata,
    Column("group_id", Id, ForeignKey("crash_group.id"), primary_key=True),
    Column("build_id", Id, ForeignKey("build.id"), primary_key=True, index=True),
    count_("crashes"),
    time_("first_seen"),
    time_("last_seen"),
)

group_day = Table(
    "group_day",
    metadata,
    Column("group_id", Id, ForeignKey("crash_group.id"), primary_key=True),
    Column("day", Integer, primary_key=True, index=True),
    count_("crashes"),
    count_("deaths"),
)

likeness = Table(
    "likeness",
    metadata,
    Column("one_id", Id, ForeignKey("crash_group.id"), primary_key=True),
    Column("other_id", Id, ForeignKey("crash_group.id"), primary_key=True, index=True),
    Column("score", Double, nullable=False),
    Column("why", Text, nullable=False),
)

attribution = Table(
    "attribution",
    metadata,
    Column("group_id", Id, ForeignKey("crash_group.id"), primary_key=True),
    time_("made"),
    Column("crashes", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
)

decision = Table(
    "decision",
    metadata,
    id_(),
    Column("kind", String(16), nullable=False),
    Column("one_event", String(64), nullable=False),
    Column("other_event", String(64), nullable=False),
    text_("why"),
    text_("by"),
    time_("at"),
)

link = Table(
    "group_link",
    metadata,
    id_(),
    ref("group_id", "crash_group", index=True),
    Column("url", Text, nullable=False),
    text_("label"),
    text_("by"),
    time_("at"),
)

note = Table(
    "note",
    metadata,
    id_(),
    Column("subject", String(16), nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("text", Text, nullable=False),
    text_("by"),
    time_("at"),
    Index("ix_note_subject_subject_id", "subject", "subject_id"),
)

readiness = Table(
    "readiness",
    metadata,
    id_(),
    ref("host_id", "host", index=True),
    time_("at"),
    Column("reached", Boolean, nullable=False),
    Column("ready", Boolean, nullable=True),
    text_("reason"),
    Column("document", LargeBinary, nullable=True),
)

readiness_check = Table(
    "readiness_check",
    metadata,
    Column("readiness_id", Id, ForeignKey("readiness.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("status", String(16), nullable=False),
    text_("summary"),
    text_("fix"),
    Index("ix_readiness_check_name_status", "name", "status"),
)

drill = Table(
    "drill",
    metadata,
    id_(),
    ref("host_id", "host", null=True, index=True),
    Column("nonce", String(128), nullable=False, unique=True),
    time_("at", index=True),
    Column("passed", Boolean, nullable=False),
    text_("failed_stage"),
    text_("detail"),
    Column("document", LargeBinary, nullable=False),
)

upload = Table(
    "upload",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host_name", String(255), nullable=False),
    text_("name"),
    count_("size"),
    Column("sha256", String(64), nullable=False, server_default=""),
    text_("sent_by"),
    Column("state", String(16), nullable=False, index=True),
    text_("detail"),
    ref("source_id", "source", null=True),
    time_("created"),
    time_("updated", index=True),
)

account = Table(
    "account",
    metadata,
    id_(),
    Column("name", String(255), nullable=False, unique=True),
    text_("password"),
    Column("role", String(16), nullable=False),
    text_("email"),
    Column("active", Boolean, nullable=False, server_default="1"),
    time_("created"),
    time_("last_login", null=True),
)

session = Table(
    "session",
    metadata,
    Column("id", String(64), primary_key=True),
    ref("account_id", "account", index=True),
    Column("csrf", String(64), nullable=False),
    text_("address"),
    time_("created"),
    time_("expires", index=True),
)

token = Table(
    "token",
    metadata,
    id_(),
    Column("hash", String(64), nullable=False, unique=True),
    text_("name"),
    Column("role", String(16), nullable=False),
    Column("host_name", String(255), nullable=False, server_default=""),
    text_("created_by"),
    time_("created"),
    time_("expires", null=True),
    time_("revoked", null=True),
    time_("last_used", null=True),
)

audit = Table(
    "audit",
    metadata,
    id_(),
    time_("at", index=True),
    text_("who"),
    Column("action", String(64), nullable=False, index=True),
    text_("subject"),
    text_("detail"),
    text_("address"),
)

notice = Table(
    "notice",
    metadata,
    id_(),
    Column("kind", String(16), nullable=False),
    ref("group_id", "crash_group"),
    ref("crash_id", "crash", null=True),
    time_("at"),
    time_("sent", null=True, index=True),
    Column("attempts", Integer, nullable=False, server_default="0"),
    text_("detail"),
)


def upgrade() -> None:
    """Make the tables."""
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Drop them."""
    metadata.drop_all(op.get_bind())
