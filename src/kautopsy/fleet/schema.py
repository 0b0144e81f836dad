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
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from kautopsy.fleet.columns import Id, count_, id_, ref, text_, time_
from kautopsy.fleet.columns import metadata as metadata

_DUMPED = text("origin <> 'log'")

meta = Table("meta", metadata, Column("key", String(64), primary_key=True), text_("value"))

profile = Table(
    "profile",
    metadata,
    id_(),
    Column("key", String(64), nullable=False, unique=True),
    # JSON list of [attribute kind, value]: modules, firmware, stepping ...
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
    # The newest answer of the doctor: null where nobody could tell, or nobody asked (ready_at).
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
    # /proc/sys/kernel/random/boot_id without dashes
    Column("boot_key", String(64), nullable=False),
    ref("build_id", "build", null=True),
    time_("started", index=True),
    time_("last_seen"),
    # running, clean, crashed, silent, unknown
    Column("ending", String(16), nullable=False, server_default="running"),
    UniqueConstraint("host_id", "boot_key"),
)

source = Table(
    "source",
    metadata,
    id_(),
    # SHA-256 of the bytes; of a dump, whose bytes are many, see fleet/files.py
    Column("content", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    text_("name"),
    # Where the bytes lie: a path below the data directory, or an absolute one. Empty: not kept.
    text_("path", index=True),
    Column("host_name", String(255), nullable=False, server_default=""),
    count_("size"),
    time_("received", index=True),
    text_("sent_by"),
    # pending, done, discarded, refused
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
    # Which kautopsy analyses: with source_id the key under which nothing is done twice.
    Column("analysis", String(64), nullable=False),
    # queued, leased, done
    Column("state", String(16), nullable=False, server_default="queued"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    text_("lease_owner"),
    time_("lease_until", null=True),
    # ok, oom, timeout, signal, unreadable, quarantined, failed
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
    # new, known, fixed, ignored
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
    # A group that was merged away keeps its number and leads to the other.
    ref("merged_into", "crash_group", null=True, index=True),
)

signature = Table(
    "signature",
    metadata,
    id_(),
    # exact: the fingerprint; cause: the verdict's key; manual: crashes that a person took apart
    Column("scheme", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("key", String(255), nullable=False),
    ref("group_id", "crash_group", index=True),
    # Why it is in that group, and who said so.
    text_("why"),
    text_("by"),
    text_("title"),
    count_("crashes"),
    time_("first_seen"),
    # msgpack of kautopsy.fingerprint.features.Features, of its first crash
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
    # Names the event, whatever file tells of it: unique, so that no crash is counted twice.
    Column("event", String(64), nullable=False, unique=True),
    ref("host_id", "host", null=True),
    ref("build_id", "build", null=True),
    ref("source_id", "source", null=True, index=True),
    time_("at"),
    # False: nothing told when; `at` is when the file was written or came in.
    Column("at_known", Boolean, nullable=False),
    time_("received"),
    # dump, report, log: the best that tells of it
    Column("origin", String(16), nullable=False),
    Column("kind", String(32), nullable=False),
    text_("title"),
    text_("trigger"),
    # It ended the machine.
    Column("fatal", Boolean, nullable=False),
    Column("corrupted", Boolean, nullable=False),
    text_("function"),
    text_("module"),
    text_("comm"),
    Column("uptime", Double, nullable=True),
    # The fingerprint's exact key, whatever the crash is grouped by.
    Column("exact", String(64), nullable=False, server_default=""),
    ref("signature_id", "signature", index=True),
    ref("group_id", "crash_group"),
    ref("profile_id", "profile", null=True),
    # Kept in full by retention, its dump too.
    Column("exemplar", Boolean, nullable=False, server_default="0"),
    Column("document", LargeBinary, nullable=True),
    Index("ix_crash_group_id_at", "group_id", "at"),
    Index("ix_crash_host_id_at", "host_id", "at"),
    # Few of a host's crashes: intake looks through them for every log.
    Index("ix_crash_dumped", "host_id", sqlite_where=_DUMPED, postgresql_where=_DUMPED),
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

# What groups are made of, kept as crashes come in: pages ask these and never count crashes.
group_host = Table(
    "group_host",
    metadata,
    Column("group_id", Id, ForeignKey("crash_group.id"), primary_key=True),
    Column("host_id", Id, ForeignKey("host.id"), primary_key=True, index=True),
    count_("crashes"),
    time_("first_seen"),
    time_("last_seen"),
    # What the host was when it crashed so last.
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
    # Days since 1970, UTC.
    Column("day", Integer, primary_key=True, index=True),
    count_("crashes"),
    count_("deaths"),
)

likeness = Table(
    "likeness",
    metadata,
    # Always the lower number first.
    Column("one_id", Id, ForeignKey("crash_group.id"), primary_key=True),
    Column("other_id", Id, ForeignKey("crash_group.id"), primary_key=True, index=True),
    Column("score", Double, nullable=False),
    # JSON list of reasons in words
    Column("why", Text, nullable=False),
)

# What a group follows, as computed last: a page of thousands of hosts must not count them anew.
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
    # same, different, apart
    Column("kind", String(16), nullable=False),
    # Events of crashes, not numbers of groups: they stay when groups are computed anew.
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
    # group, crash, host
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
    # Why it is not ready, in a line; or why it was not reached.
    text_("reason"),
    Column("document", LargeBinary, nullable=True),
)

readiness_check = Table(
    "readiness_check",
    metadata,
    Column("readiness_id", Id, ForeignKey("readiness.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    # fail, warn, unknown: those that passed are in the document only
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
    # open, done, refused
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
    # argon2; empty: comes in through the proxy (OIDC) only
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
    # SHA-256 of the cookie
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
    # SHA-256 of the token
    Column("hash", String(64), nullable=False, unique=True),
    text_("name"),
    # host: may only send, and only of this host; else what the role may do
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

# The outbox: written with what it tells of, sent by whoever sends, once.
notice = Table(
    "notice",
    metadata,
    id_(),
    # new-group, regression
    Column("kind", String(16), nullable=False),
    ref("group_id", "crash_group"),
    ref("crash_id", "crash", null=True),
    time_("at"),
    time_("sent", null=True, index=True),
    Column("attempts", Integer, nullable=False, server_default="0"),
    text_("detail"),
)
