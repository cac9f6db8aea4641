"""Everything that a grid can name and a store can say: the tables of networks, starts, losses, predictions and more."""

from docs.reference.markdown import cell, docstring, table
from kernels.losses import LOSSES
from kernels.networks.initialisations import INITIALISATIONS
from kernels.networks.table import ARCHITECTURES
from kernels.observables import OBSERVABLES
from kernels.simulate import VERDICTS
from kernels.theory.table import PREDICTIONS


def page() -> str:
    return "\n\n".join([
        "# Networks, starts, losses, predictions",
        "As the code has them. How they belong together: [Networks, starts and predictions](../theory.md).",
        "## Architectures", *(f"### {name}\n\n{docstring(network)}" for name, network in ARCHITECTURES.items()),
        "## Initialisations", *(f"### {name}\n\n{docstring(start.draw)}" for name, start in INITIALISATIONS.items()),
        "## Losses", losses(),
        "## Predictions", *(f"### {name}\n\nPredicts {made.meaning}.\n\n{docstring(type(made))}"
                            for name, made in PREDICTIONS.items()),
        "## Observables", "Columns of the view `orbits`, one number a recorded point.",
        table(("name", "what it is"), [(f"`{name}`", cell(each.words)) for name, each in OBSERVABLES.items()]),
        "## Statuses", table(("status", "message"), [(f"`{status}`", cell(why)) for status, why in VERDICTS.values()]),
        "A run may also be `imprecise`, where drift is above what decides its limit, or where several solutions have "
        "nearly the same least norm and errors of `rtol` decide between them, and `failed`, where it raised an error.",
    ]) + "\n"  # fmt: skip


def losses() -> str:
    rows = [
        (
            f"`{name}`",
            each.task,
            cell(each.formula),
            ", ".join(f"`{key}: {value:g}`" for key, value in each.stop.items()),
        )
        for name, each in LOSSES.items()
    ]
    return table(("loss", "task", "formula", "ends at, by default"), rows)
