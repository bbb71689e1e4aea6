"""Draw images from a trained synthesizer into a file or a folder: what `semisynth sample` runs."""

from collections.abc import Callable, Mapping
from pathlib import Path

from semisynth.errors import UsageError
from semisynth.sampling.formats import write_folder, write_npz, write_png
from semisynth.sampling.latents import check_truncation
from semisynth.sampling.outputs import OutputFormat, check_vacant, format_of
from semisynth.sampling.samples import SampleOptions, Samples
from semisynth.sampling.told import ToldSamples
from semisynth.synthesizers.companion import has_companion, load_companion
from semisynth.synthesizers.families import at_temperature, load_sampler

WRITERS: Mapping[OutputFormat, Callable[[Path, Samples], None]] = {
    "npz": write_npz,
    "png": write_png,
    "folder": write_folder,
}


def write_samples(model: Path, out: Path, options: SampleOptions) -> int:
    """Write images of the synthesizer in the bundle `model` to `out`, whole or not at all; return how many.

    A temperature replaces the one that recipe `lstm` was trained with. Of a recipe without classes, images of some
    are those in which the labeller beside it sees them. SemisynthError where an option or the
    bundle is wrong, something stands at `out` already, or the images are too many for the format.
    """
    if options.count < 1:
        raise UsageError(f"`--count` must be at least 1, received {options.count}")
    kind = format_of(out, options.format)
    check_vacant(out, kind, force=options.force)
    synthesizer = at_temperature(load_sampler(model), options.temperature)
    if options.classes and not synthesizer.has_classes and has_companion(model):
        samples: Samples = ToldSamples(synthesizer, options, load_companion(model))
    else:
        samples = Samples(synthesizer, options)
    check_truncation(options.truncation, samples.synthesizer.recipe)
    WRITERS[kind](out, samples)
    return len(samples)
