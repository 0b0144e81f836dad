"""Views: common questions, asked once and for all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """A named query over the tables.

    :param query: SELECT; every table it reads is named in it
    """

    name: str
    doc: str
    query: str


VIEWS: tuple[View, ...] = (
    View(
        "blocked_tasks",
        "Uninterruptible tasks by what they wait in: how many, who, the longest wait, the stack.",
        """
        SELECT dump, count(*) AS tasks, string_agg(comm || ' (' || pid || ')', ', ' ORDER BY pid)
               AS who, max(idle) AS longest, any_value(wchan) AS wchan, stack
        FROM (
            SELECT tasks.dump, tasks.pid, tasks.comm, tasks.idle, tasks.wchan,
                   string_agg(backtraces.function, ' < ' ORDER BY backtraces.depth) AS stack
            FROM tasks LEFT JOIN backtraces
              ON backtraces.dump = tasks.dump AND backtraces.pid = tasks.pid
            WHERE tasks.state = 'D'
            GROUP BY ALL
        )
        GROUP BY dump, stack
        ORDER BY dump, longest DESC
        """,
    ),
    View(
        "memory_by_cgroup",
        "Memory by control group: what it is charged, its limit, and who holds most of it.",
        """
        WITH resident AS (
            SELECT dump, cgroup, sum(rss)::BIGINT AS rss, count(*) AS processes,
                   arg_max(comm || ' (' || pid || ')', rss) AS largest
            FROM tasks
            WHERE pid = tgid AND NOT kernel
            GROUP BY dump, cgroup
        ), charged AS (
            -- The root is charged for nothing (mm/memcontrol.c): its counter stays 0.
            SELECT dump, path AS cgroup, CASE WHEN path <> '/' THEN memory END AS memory,
                   memory_max, oom_kills
            FROM cgroups
            WHERE memory IS NOT NULL
        )
        SELECT dump, cgroup, memory, memory_max, oom_kills, rss, processes, largest
        FROM resident FULL JOIN charged USING (dump, cgroup)
        ORDER BY dump, memory DESC NULLS LAST, rss DESC NULLS LAST
        """,
    ),
    View(
        "open_deleted_files",
        "Files that were deleted while somebody had them open: space that df sees and du does not.",
        """
        SELECT dump, device, inode, any_value(path) AS path, max(size) AS size,
               string_agg(DISTINCT comm || ' (' || pid || ')', ', ') AS who
        FROM open_files
        WHERE links = 0 AND type = 'file'
        GROUP BY dump, device, inode
        ORDER BY dump, size DESC
        """,
    ),
    View(
        "lock_waits",
        "Who waits for which lock, who holds it, and what the holder was doing itself.",
        """
        SELECT waits_for.*, holder.state AS holder_state, holder.wchan AS holder_wchan
        FROM waits_for LEFT JOIN tasks AS holder
          ON holder.dump = waits_for.dump AND holder.pid = waits_for.owner
        """,
    ),
)
