"""The tables: one schema for SQLite and PostgreSQL.

Times are seconds since 1970 (UTC, double), sizes bytes, keys lower-case hex. Documents (a Report, a
Crash) are zlib-compressed JSON in the types of :mod:`kautopsy.model`; what is searched or counted
stands in columns of its own. The bytes of dumps and logs are never here: ``source.path`` says where
they lie.

``migrations/`` makes these tables and changes older ones into them; a test holds the two together.
"""

from __future__ import annotations

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

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only where the key's type is exactly INTEGER.
_Id = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", _Id, primary_key=True)


def _ref(name: str, target: str, *, null: bool = False, index: bool = False) -> Column[int]:
    return Column(name, _Id, ForeignKey(f"{target}.id"), nullable=null, index=index)


def _text(name: str, *, index: bool = False) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="", index=index)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _time(name: str, *, null: bool = False, index: bool = False) -> Column[float]:
    return Column(name, Double, nullable=null, index=index)


meta = Table("meta", metadata, Column("key", String(64), primary_key=True), _text("value"))

profile = Table(
    "profile",
    metadata,
    _id(),
    Column("key", String(64), nullable=False, unique=True),
    # JSON list of [attribute kind, value]: modules, firmware, stepping ...
    Column("attributes", Text, nullable=False),
)

host = Table(
    "host",
    metadata,
    _id(),
    Column("name", String(255), nullable=False, unique=True),
    _text("model", index=True),
    _text("firmware"),
    _text("cpu"),
    _time("first_seen"),
    _time("last_seen", index=True),
    _ref("profile_id", "profile", null=True),
    # The newest answer of the doctor: null where nobody could tell, or nobody asked (ready_at).
    Column("ready", Boolean, nullable=True),
    _time("ready_at", null=True),
)

build = Table(
    "build",
    metadata,
    _id(),
    Column("release", String(255), nullable=False),
    Column("build_id", String(64), nullable=False, server_default=""),
    Column("arch", String(32), nullable=False, server_default=""),
    UniqueConstraint("release", "build_id", "arch"),
)

boot = Table(
    "boot",
    metadata,
    _id(),
    _ref("host_id", "host"),
    # /proc/sys/kernel/random/boot_id without dashes
    Column("boot_key", String(64), nullable=False),
    _ref("build_id", "build", null=True),
    _time("started", index=True),
    _time("last_seen"),
    # running, clean, crashed, silent, unknown
    Column("ending", String(16), nullable=False, server_default="running"),
    UniqueConstraint("host_id", "boot_key"),
)

source = Table(
    "source",
    metadata,
    _id(),
    # SHA-256 of the bytes; of a dump, whose bytes are many, see fleet/files.py
    Column("content", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    _text("name"),
    # Where the bytes lie: a path below the data directory, or an absolute one. Empty: not kept.
    _text("path"),
    Column("host_name", String(255), nullable=False, server_default=""),
    _count("size"),
    _time("received", index=True),
    _text("sent_by"),
    # pending, done, discarded, refused
    Column("state", String(16), nullable=False, server_default="pending", index=True),
    _text("detail"),
    UniqueConstraint("content", "host_name"),
)

dump = Table(
    "dump",
    metadata,
    Column("source_id", _Id, ForeignKey("source.id"), primary_key=True),
    _text("format"),
    _text("arch"),
    _text("build_id"),
    _text("release"),
    Column("dump_level", Integer, nullable=True),
    Column("complete", Boolean, nullable=True),
)

job = Table(
    "job",
    metadata,
    _id(),
    _ref("source_id", "source"),
    # Which kautopsy analyses: with source_id the key under which nothing is done twice.
    Column("analysis", String(64), nullable=False),
    # queued, leased, done
    Column("state", String(16), nullable=False, server_default="queued"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    _text("lease_owner"),
    _time("lease_until", null=True),
    # ok, oom, timeout, signal, unreadable, quarantined, failed
    Column("outcome", String(16), nullable=True, index=True),
    _text("detail"),
    _time("created"),
    _time("started", null=True),
    _time("finished", null=True),
    Column("seconds", Double, nullable=True),
    UniqueConstraint("source_id", "analysis"),
    Index("ix_job_state_lease_until", "state", "lease_until"),
)

group = Table(
    "crash_group",
    metadata,
    _id(),
    Column("title", Text, nullable=False),
    Column("kind", String(32), nullable=False, index=True),
    # new, known, fixed, ignored
    Column("state", String(16), nullable=False, server_default="new", index=True),
    _text("fixed_in"),
    _time("ignored_until", null=True),
    _text("owner"),
    _time("regressed_at", null=True),
    _time("first_seen"),
    _time("last_seen", index=True),
    _count("crashes"),
    _count("deaths"),
    _time("created"),
    # A group that was merged away keeps its number and leads to the other.
    _ref("merged_into", "crash_group", null=True, index=True),
)

signature = Table(
    "signature",
    metadata,
    _id(),
    # exact: the fingerprint; cause: the verdict's key; manual: crashes that a person took apart
    Column("scheme", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("key", String(255), nullable=False),
    _ref("group_id", "crash_group", index=True),
    # Why it is in that group, and who said so.
    _text("why"),
    _text("by"),
    _text("title"),
    _count("crashes"),
    _time("first_seen"),
    # msgpack of kautopsy.fingerprint.features.Features, of its first crash
    Column("features", LargeBinary, nullable=True),
    UniqueConstraint("scheme", "version", "key"),
)

frame = Table(
    "frame",
    metadata,
    Column("signature_id", _Id, ForeignKey("signature.id"), primary_key=True),
    Column("depth", Integer, primary_key=True),
    _text("function", index=True),
    _text("module", index=True),
)

crash = Table(
    "crash",
    metadata,
    _id(),
    # Names the event, whatever file tells of it: unique, so that no crash is counted twice.
    Column("event", String(64), nullable=False, unique=True),
    _ref("host_id", "host", null=True),
    _ref("build_id", "build", null=True),
    _ref("source_id", "source", null=True, index=True),
    _time("at"),
    # False: nothing told when; `at` is when the file was written or came in.
    Column("at_known", Boolean, nullable=False),
    _time("received"),
    # dump, report, log: the best that tells of it
    Column("origin", String(16), nullable=False),
    Column("kind", String(32), nullable=False),
    _text("title"),
    _text("trigger"),
    # It ended the machine.
    Column("fatal", Boolean, nullable=False),
    Column("corrupted", Boolean, nullable=False),
    _text("function"),
    _text("module"),
    _text("comm"),
    Column("uptime", Double, nullable=True),
    # The fingerprint's exact key, whatever the crash is grouped by.
    Column("exact", String(64), nullable=False, server_default=""),
    _ref("signature_id", "signature", index=True),
    _ref("group_id", "crash_group"),
    _ref("profile_id", "profile", null=True),
    # Kept in full by retention, its dump too.
    Column("exemplar", Boolean, nullable=False, server_default="0"),
    Column("document", LargeBinary, nullable=True),
    Index("ix_crash_group_id_at", "group_id", "at"),
    Index("ix_crash_host_id_at", "host_id", "at"),
)

report = Table(
    "report",
    metadata,
    _id(),
    _ref("crash_id", "crash", index=True),
    _ref("source_id", "source", null=True),
    Column("analysis", String(64), nullable=False),
    _time("made"),
    _text("verdict_kind"),
    _text("verdict_title"),
    _text("verdict_key"),
    Column("confidence", Double, nullable=True),
    _text("symbols"),
    Column("document", LargeBinary, nullable=False),
    UniqueConstraint("source_id", "analysis"),
)

finding = Table(
    "finding",
    metadata,
    Column("report_id", _Id, ForeignKey("report.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", String(32), nullable=False, index=True),
    _text("title"),
    Column("confidence", Double, nullable=False),
    _text("severity"),
    _text("function", index=True),
    _text("module"),
)

# What groups are made of, kept as crashes come in: pages ask these and never count crashes.
group_host = Table(
    "group_host",
    metadata,
    Column("group_id", _Id, ForeignKey("crash_group.id"), primary_key=True),
    Column("host_id", _Id, ForeignKey("host.id"), primary_key=True, index=True),
    _count("crashes"),
    _time("first_seen"),
    _time("last_seen"),
    # What the host was when it crashed so last.
    _ref("profile_id", "profile", null=True),
)

group_build = Table(
    "group_build",
    metadata,
    Column("group_id", _Id, ForeignKey("crash_group.id"), primary_key=True),
    Column("build_id", _Id, ForeignKey("build.id"), primary_key=True, index=True),
    _count("crashes"),
    _time("first_seen"),
    _time("last_seen"),
)

group_day = Table(
    "group_day",
    metadata,
    Column("group_id", _Id, ForeignKey("crash_group.id"), primary_key=True),
    # Days since 1970, UTC.
    Column("day", Integer, primary_key=True, index=True),
    _count("crashes"),
    _count("deaths"),
)

likeness = Table(
    "likeness",
    metadata,
    # Always the lower number first.
    Column("one_id", _Id, ForeignKey("crash_group.id"), primary_key=True),
    Column("other_id", _Id, ForeignKey("crash_group.id"), primary_key=True, index=True),
    Column("score", Double, nullable=False),
    # JSON list of reasons in words
    Column("why", Text, nullable=False),
)

# What a group follows, as computed last: a page of thousands of hosts must not count them anew.
attribution = Table(
    "attribution",
    metadata,
    Column("group_id", _Id, ForeignKey("crash_group.id"), primary_key=True),
    _time("made"),
    Column("crashes", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
)

decision = Table(
    "decision",
    metadata,
    _id(),
    # same, different, apart
    Column("kind", String(16), nullable=False),
    # Events of crashes, not numbers of groups: they stay when groups are computed anew.
    Column("one_event", String(64), nullable=False),
    Column("other_event", String(64), nullable=False),
    _text("why"),
    _text("by"),
    _time("at"),
)

link = Table(
    "group_link",
    metadata,
    _id(),
    _ref("group_id", "crash_group", index=True),
    Column("url", Text, nullable=False),
    _text("label"),
    _text("by"),
    _time("at"),
)

note = Table(
    "note",
    metadata,
    _id(),
    # group, crash, host
    Column("subject", String(16), nullable=False),
    Column("subject_id", _Id, nullable=False),
    Column("text", Text, nullable=False),
    _text("by"),
    _time("at"),
    Index("ix_note_subject_subject_id", "subject", "subject_id"),
)

readiness = Table(
    "readiness",
    metadata,
    _id(),
    _ref("host_id", "host", index=True),
    _time("at"),
    Column("reached", Boolean, nullable=False),
    Column("ready", Boolean, nullable=True),
    # Why it is not ready, in a line; or why it was not reached.
    _text("reason"),
    Column("document", LargeBinary, nullable=True),
)

readiness_check = Table(
    "readiness_check",
    metadata,
    Column("readiness_id", _Id, ForeignKey("readiness.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    # fail, warn, unknown: those that passed are in the document only
    Column("status", String(16), nullable=False),
    _text("summary"),
    _text("fix"),
    Index("ix_readiness_check_name_status", "name", "status"),
)

drill = Table(
    "drill",
    metadata,
    _id(),
    _ref("host_id", "host", null=True, index=True),
    Column("nonce", String(128), nullable=False, unique=True),
    _time("at", index=True),
    Column("passed", Boolean, nullable=False),
    _text("failed_stage"),
    _text("detail"),
    Column("document", LargeBinary, nullable=False),
)

upload = Table(
    "upload",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host_name", String(255), nullable=False),
    _text("name"),
    _count("size"),
    Column("sha256", String(64), nullable=False, server_default=""),
    _text("sent_by"),
    # open, done, refused
    Column("state", String(16), nullable=False, index=True),
    _text("detail"),
    _ref("source_id", "source", null=True),
    _time("created"),
    _time("updated", index=True),
)

account = Table(
    "account",
    metadata,
    _id(),
    Column("name", String(255), nullable=False, unique=True),
    # argon2; empty: comes in through the proxy (OIDC) only
    _text("password"),
    Column("role", String(16), nullable=False),
    _text("email"),
    Column("active", Boolean, nullable=False, server_default="1"),
    _time("created"),
    _time("last_login", null=True),
)

session = Table(
    "session",
    metadata,
    # SHA-256 of the cookie
    Column("id", String(64), primary_key=True),
    _ref("account_id", "account", index=True),
    Column("csrf", String(64), nullable=False),
    _text("address"),
    _time("created"),
    _time("expires", index=True),
)

token = Table(
    "token",
    metadata,
    _id(),
    # SHA-256 of the token
    Column("hash", String(64), nullable=False, unique=True),
    _text("name"),
    # host: may only send, and only of this host; else what the role may do
    Column("role", String(16), nullable=False),
    Column("host_name", String(255), nullable=False, server_default=""),
    _text("created_by"),
    _time("created"),
    _time("expires", null=True),
    _time("revoked", null=True),
    _time("last_used", null=True),
)

audit = Table(
    "audit",
    metadata,
    _id(),
    _time("at", index=True),
    _text("who"),
    Column("action", String(64), nullable=False, index=True),
    _text("subject"),
    _text("detail"),
    _text("address"),
)

# The outbox: written with what it tells of, sent by whoever sends, once.
notice = Table(
    "notice",
    metadata,
    _id(),
    # new-group, regression
    Column("kind", String(16), nullable=False),
    _ref("group_id", "crash_group"),
    _ref("crash_id", "crash", null=True),
    _time("at"),
    _time("sent", null=True, index=True),
    Column("attempts", Integer, nullable=False, server_default="0"),
    _text("detail"),
)
