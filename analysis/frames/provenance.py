"""Frames of where the numbers came from: which grid, which code, which machine."""

from analysis.frames.frame import Frame

SWEEPS = Frame(
    """SELECT sweep_id, s."name" AS name, s.created_at, command, grid, git_sha, git_dirty, git_diff, host, python,
  packages::VARCHAR AS packages, count(w.run_id) AS asked, count(r.run_id) AS done,
  count(*) FILTER (WHERE r.sweep_id = s.sweep_id) AS computed
FROM sweeps s LEFT JOIN sweep_runs w USING (sweep_id) LEFT JOIN runs r ON r.run_id = w.run_id
GROUP BY ALL ORDER BY s.created_at DESC""",
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
