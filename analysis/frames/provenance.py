"""Frames of where the numbers came from: which grid, which code, which machine."""

from analysis.frames.frame import Frame

SWEEPS = Frame(
    """WITH counted AS (
  SELECT w.sweep_id, count(*) AS asked, count(r.run_id) AS done,
    count(*) FILTER (WHERE r.sweep_id = w.sweep_id) AS computed
  FROM sweep_runs w LEFT JOIN runs r USING (run_id) GROUP BY w.sweep_id
)
SELECT sweep_id, s."name" AS name, s.created_at, command, grid, git_sha, git_dirty, git_diff, host, python,
  packages::VARCHAR AS packages, coalesce(asked, 0) AS asked, coalesce(done, 0) AS done,
  coalesce(computed, 0) AS computed
FROM sweeps s LEFT JOIN counted USING (sweep_id) ORDER BY s.created_at DESC""",
    {
        "sweep_id": "the launch",
        "name": "of the grid",
        "created_at": "when it was launched, UTC",
        "command": "the command",
        "grid": "the grid as YAML",
        "git_sha": "commit of the working tree, if any",
        "git_dirty": "whether it differed from the commit",
        "git_diff": "in what",
        "host": "where it was launched",
        "python": "version",
        "packages": "versions of what moves numbers, JSON",
        "asked": "runs of the grid",
        "done": "of these, in the store",
        "computed": "of these, computed by this launch and not by an earlier one",
    },
)
