"""Numbers in words."""


def duration(seconds: float) -> str:
    """Seconds in words: 25 ms, 12 s, 3 min, 2.5 h, 4.1 days."""
    if 0 < seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:.3g} days"


def plural(count: int, noun: str, several: str | None = None) -> str:
    return f"{count} {noun if count == 1 else several or f'{noun}s'}"
