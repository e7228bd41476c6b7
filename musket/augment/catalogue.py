"""Names of augmenters. The fact ``nested`` lists the options that hold augmenters themselves."""

from __future__ import annotations

import difflib

from musket.core.registry import Entry, Registry, RegistryError, nearest


class Augmenters(Registry):
    """Our own names first; any other may be that of a transform of albumentations, where that package is installed.

    Only ours are listed, and albumentations is imported for names we do not know.
    """

    def get(self, name: str) -> Entry:
        """The entry of a name, an alias or a transform. Raises RegistryError naming the nearest entries."""
        if super().__contains__(name):
            return super().get(name)
        entry = _foreign(name)
        if entry is None:
            raise RegistryError(self.miss(name))
        return entry

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or _foreign(name) is not None

    def advice(self, name: str) -> str:
        """Why a transform of albumentations was not found; nothing where the name looks like a slip of the pen."""
        near = nearest(name, list(self.spellings()), count=1)
        if near and difflib.SequenceMatcher(None, near[0].lower(), name.lower()).ratio() > 0.8:
            return ""
        from musket.augment.albumentations_adapter import unavailable

        reason = unavailable()
        return f"; {reason}" if reason else ""


def _foreign(name: object) -> Entry | None:
    from musket.augment.albumentations_adapter import albumentations_entry

    return albumentations_entry(str(name))


AUGMENTERS = Augmenters("augmenter")

# Pixels move
AUGMENTERS.add("Fliplr", "musket.augment.geometry:Fliplr", "mirror left-right with probability p")
AUGMENTERS.add("Flipud", "musket.augment.geometry:Flipud", "mirror upside down with probability p")
AUGMENTERS.add("Rotate90", "musket.augment.geometry:Rotate90", "turn by a random one of 0, 90, 180, 270 degrees")
AUGMENTERS.add("Affine", "musket.augment.geometry:Affine", "scale, shear, rotate and shift about the centre")
AUGMENTERS.add(
    "PerspectiveTransform", "musket.augment.geometry:PerspectiveTransform", "look at the image from the side"
)
AUGMENTERS.add("Resize", "musket.augment.geometry:Resize", "resize to pixels or by a factor", aliases=("Scale",))
AUGMENTERS.add("Noop", "musket.augment.geometry:Noop", "change nothing", aliases=("Identity",))
AUGMENTERS.add("Crop", "musket.augment.frames:Crop", "cut pixels off the sides")
AUGMENTERS.add("Pad", "musket.augment.frames:Pad", "add pixels at the sides")
AUGMENTERS.add("CropAndPad", "musket.augment.frames:CropAndPad", "add pixels at the sides or cut them off")
AUGMENTERS.add("CropToFixedSize", "musket.augment.frames:CropToFixedSize", "cut to at most width x height")
AUGMENTERS.add("PadToFixedSize", "musket.augment.frames:PadToFixedSize", "pad to at least width x height")

# Values change
AUGMENTERS.add("Add", "musket.augment.colour:Add", "add a number to every value")
AUGMENTERS.add("Multiply", "musket.augment.colour:Multiply", "multiply every value: darker or brighter")
AUGMENTERS.add("Invert", "musket.augment.colour:Invert", "turn bright into dark with probability p")
AUGMENTERS.add(
    "LinearContrast",
    "musket.augment.colour:LinearContrast",
    "stretch values away from the middle grey",
    aliases=("ContrastNormalization",),
)
AUGMENTERS.add("GammaContrast", "musket.augment.colour:GammaContrast", "brighten or darken the middle tones")
AUGMENTERS.add("LogContrast", "musket.augment.colour:LogContrast", "brighten dark tones by a logarithm")
AUGMENTERS.add("SigmoidContrast", "musket.augment.colour:SigmoidContrast", "push values apart around a cutoff")

# Others inside
AUGMENTERS.add("Sequential", "musket.augment.nested:Sequential", "run augmenters in a row", nested=("children",))
AUGMENTERS.add("OneOf", "musket.augment.nested:OneOf", "run one of several augmenters", nested=("children",))
AUGMENTERS.add("SomeOf", "musket.augment.nested:SomeOf", "run some of several augmenters", nested=("children",))
AUGMENTERS.add(
    "Sometimes",
    "musket.augment.nested:Sometimes",
    "run augmenters with probability p, otherwise others",
    nested=("then_list", "else_list"),
)
AUGMENTERS.add(
    "WithChannels",
    "musket.augment.nested:WithChannels",
    "run augmenters on some channels of the image alone",
    nested=("children",),
)

# Single pixels change
AUGMENTERS.add("AddElementwise", "musket.augment.noise:AddElementwise", "add a number of its own to every pixel")
AUGMENTERS.add(
    "MultiplyElementwise", "musket.augment.noise:MultiplyElementwise", "multiply every pixel by a number of its own"
)
AUGMENTERS.add("AdditiveGaussianNoise", "musket.augment.noise:AdditiveGaussianNoise", "add normally distributed noise")
AUGMENTERS.add("Dropout", "musket.augment.noise:Dropout", "set single pixels to 0")
AUGMENTERS.add("CoarseDropout", "musket.augment.noise:CoarseDropout", "set rectangles to 0")
AUGMENTERS.add("ReplaceElementwise", "musket.augment.noise:ReplaceElementwise", "give single pixels another value")
AUGMENTERS.add(
    "SaltAndPepper", "musket.augment.noise:SaltAndPepper", "replace single pixels by whitish and blackish ones"
)
AUGMENTERS.add("Salt", "musket.augment.noise:Salt", "replace single pixels by whitish ones")
AUGMENTERS.add("Pepper", "musket.augment.noise:Pepper", "replace single pixels by blackish ones")
AUGMENTERS.add(
    "CoarseSaltAndPepper",
    "musket.augment.noise:CoarseSaltAndPepper",
    "replace rectangles by whitish and blackish noise",
)
AUGMENTERS.add("CoarseSalt", "musket.augment.noise:CoarseSalt", "replace rectangles by whitish noise")
AUGMENTERS.add("CoarsePepper", "musket.augment.noise:CoarsePepper", "replace rectangles by blackish noise")

# Neighbours mix
AUGMENTERS.add("GaussianBlur", "musket.augment.blur:GaussianBlur", "blur by a normal distribution")
AUGMENTERS.add("AverageBlur", "musket.augment.blur:AverageBlur", "blur by the mean of a square")
AUGMENTERS.add("MedianBlur", "musket.augment.blur:MedianBlur", "blur by the median of a square")
AUGMENTERS.add("BilateralBlur", "musket.augment.blur:BilateralBlur", "blur areas, keep edges")
AUGMENTERS.add("Convolve", "musket.augment.blur:Convolve", "filter with a matrix")
AUGMENTERS.add("Sharpen", "musket.augment.edges:Sharpen", "mix with a sharpened version")
AUGMENTERS.add("Emboss", "musket.augment.edges:Emboss", "mix with an embossed version")
AUGMENTERS.add("EdgeDetect", "musket.augment.edges:EdgeDetect", "mix with the edges")
AUGMENTERS.add(
    "DirectedEdgeDetect", "musket.augment.edges:DirectedEdgeDetect", "mix with the edges seen from one direction"
)
AUGMENTERS.add("Superpixels", "musket.augment.segments:Superpixels", "replace areas of similar colour by their mean")

# Pixels move, each its own way
AUGMENTERS.add(
    "ElasticTransformation",
    "musket.augment.elastic:ElasticTransformation",
    "shift pixels by smooth random displacements",
)
AUGMENTERS.add(
    "PiecewiseAffine", "musket.augment.elastic:PiecewiseAffine", "move the points of a grid and what lies between"
)

# Colours of RGB images
AUGMENTERS.add("Grayscale", "musket.augment.colourspace:Grayscale", "take colour away")
AUGMENTERS.add(
    "AddToHueAndSaturation", "musket.augment.colourspace:AddToHueAndSaturation", "turn the hue, change the saturation"
)
AUGMENTERS.add(
    "ChangeColorspace", "musket.augment.colourspace:ChangeColorspace", "show the image in another colour space"
)
AUGMENTERS.add(
    "WithColorspace",
    "musket.augment.colourspace:WithColorspace",
    "run augmenters in another colour space",
    aliases=("InColorspace",),
    nested=("children",),
)

# Two versions mix
AUGMENTERS.add(
    "AlphaElementwise",
    "musket.augment.blend:AlphaElementwise",
    "mix two versions of the image pixel by pixel",
    nested=("first", "second"),
)
AUGMENTERS.add(
    "SimplexNoiseAlpha",
    "musket.augment.blend:SimplexNoiseAlpha",
    "mix two versions of the image in blobs",
    nested=("first", "second"),
)
AUGMENTERS.add(
    "FrequencyNoiseAlpha",
    "musket.augment.blend:FrequencyNoiseAlpha",
    "mix two versions of the image in clouds or grains",
    nested=("first", "second"),
)

# Done on the dataset, before all others
AUGMENTERS.add(
    "BackgroundReplacer",
    "musket.augment.background_options:BackgroundReplacer",
    "put objects of training images in front of other pictures",
    nested=("augmenters",),
    only_in="augmentation",
)
