"""The Vega libraries as one script, which takes two seconds to make and is always the same."""

import contextlib
import functools
from importlib.metadata import version

import vl_convert

from analysis.errors import CannotWrite
from analysis.files import writing
from kernels.cache import cache_folder

END = "\n// the script is whole"


@functools.cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed from vl-convert's own copy, safe inside a script; kept for the next time."""
    kept = None
    with contextlib.suppress(OSError, UnicodeDecodeError, RuntimeError):  # the last for a user without a home
        kept = cache_folder() / f"vega-{version('vl-convert-python')}.js"
        found = kept.read_text(encoding="utf-8")
        if found.endswith(END):
            return found
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script") + END
    if kept is None:
        return script
    with contextlib.suppress(OSError, CannotWrite):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with writing(kept) as temporary:
            temporary.write_text(script, encoding="utf-8")
    return script
