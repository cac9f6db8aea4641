"""Whether two computations of one run ended in one place."""

TOLERANCE = 100
"""Times rtol that two computations of a run may end apart, relative: as far as one may end from an exact prediction."""


def apart(one: str, other: str) -> str:
    """SQL for |β − β'| / max(|β|, |β'|) of two rows of `runs`, by their names; infinity where lengths differ.

    NULL unless both have coefficients; 0 where both are zero.
    """
    largest = f"greatest({_norm(one)}, {_norm(other)})"
    return (
        f"CASE WHEN len({one}.beta) <> len({other}.beta) THEN 'inf'::DOUBLE WHEN {largest} = 0 THEN 0 "
        f"ELSE list_distance({one}.beta, {other}.beta) / {largest} END"
    )


def _norm(row: str) -> str:
    return f"sqrt(list_inner_product({row}.beta, {row}.beta))"
