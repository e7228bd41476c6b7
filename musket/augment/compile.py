"""From a list of augmentation steps to one function on image and mask, the final resize included.

What is drawn for a sample is a list of steps (:mod:`musket.augment.steps`). Those between two passes that need the
pixels run together: all geometry as one warp, all colour as one look-up table on the smaller side of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from musket.augment.colour_tables import check_floats, look_up, make_table, recolour, unpainted
from musket.augment.single import both, image_alone, run_each
from musket.augment.steps import Children, Colour, Frame, Geometry, ImagePass, Operation, Pass, Step
from musket.augment.warp import Motion, fill_of, move_image, move_mask, resizing
from musket.core.geometry import resize_scores

Arrays = tuple[np.ndarray, np.ndarray | None]
Runner = Callable[[np.ndarray, np.ndarray | None, Sequence[Step]], Arrays]


@dataclass(frozen=True)
class Placed:
    """An image as the network sees it, and the way back.

    Attributes:
        image: H' x W' x C.
        undo: scores float32 H' x W' x classes -> those of the original H x W. Pixels the steps left out get 0.
    """

    image: np.ndarray
    undo: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Chain:
    """Augmentation steps and the resize to ``height`` x ``width`` as one function; None leaves the size as it comes."""

    operations: Sequence[Operation]
    height: int | None
    width: int | None

    def __call__(self, image: np.ndarray, mask: np.ndarray | None, random: np.random.Generator | None) -> Arrays:
        """Augment one sample.

        Args:
            image: H x W x C, uint8, uint16 or float32.
            mask: H x W x classes 0/1, or None.
            random: generator of this sample's draws, which come from nowhere else; None leaves only the resize.

        Returns:
            image and mask (uint8) of the target size; possibly views with negative strides.
        """
        return self._run(image, mask, random, run_fused)

    def step_by_step(self, image: np.ndarray, mask: np.ndarray | None, random: np.random.Generator | None) -> Arrays:
        """The same, every drawn step run alone and the resize last: slow, plain, what the fused form is held to."""
        return self._run(image, mask, random, run_each)

    def place(self, image: np.ndarray, random: np.random.Generator | None) -> Placed:
        """Prepare an image for prediction.

        Scores go back through the inverse of all geometry together. Behind a step that moves pixels in ways of its own
        (Pass) they are only resized.
        """
        rows, columns = image.shape[:2]
        moves: list[Geometry] | None = []

        def run(image: np.ndarray, mask: np.ndarray | None, steps: Sequence[Step]) -> Arrays:
            nonlocal moves
            if any(isinstance(step, Pass) for step in steps):
                moves = None
            elif moves is not None:
                moves += [step for step in steps if isinstance(step, Geometry)]
            return run_fused(image, mask, steps)

        placed, _ = self._run(image, None, random, run)
        return Placed(placed, lambda scores: _back(scores, moves, rows, columns))

    def _run(
        self, image: np.ndarray, mask: np.ndarray | None, random: np.random.Generator | None, run: Runner
    ) -> Arrays:
        frame = Frame.of(image)
        waiting: list[Step] = []
        coloured = False
        queue: list[Operation | Step] = [] if random is None else list(reversed(self.operations))
        while queue:
            item = queue.pop()
            if isinstance(item, Children):
                queue.extend(reversed(item.operations))
            elif isinstance(item, Geometry):
                waiting.append(item)
                frame = Frame(item.height, item.width, frame.channels, frame.dtype)
            elif isinstance(item, Colour | ImagePass):
                if not coloured:
                    check_floats(image)
                    coloured = True
                waiting.append(item)
            elif isinstance(item, Pass):
                image, mask = run(image, mask, [*waiting, item])
                waiting, frame = [], Frame.of(image)
            else:
                assert random is not None
                queue.extend(reversed(item.draw(random, frame)))
        height, width = self.height or frame.height, self.width or frame.width
        if (frame.height, frame.width) != (height, width):
            waiting.append(resizing(frame.height, frame.width, height, width))
        image, mask = run(image, mask, waiting)
        return image, None if mask is None else mask.astype(np.uint8, copy=False)


def run_fused(image: np.ndarray, mask: np.ndarray | None, steps: Sequence[Step]) -> Arrays:
    """Run steps in as few passes as give the same result. A Pass may only come last."""
    if steps and isinstance(last := steps[-1], Pass):
        return both(last, *run_fused(image, mask, steps[:-1]))
    group = _Group.of(image)
    alone = True
    for step in steps:
        if isinstance(step, Colour):
            group.paint(step)
        elif isinstance(step, ImagePass):
            image = image_alone(step, group.run(image))
            group, alone = _Group.of(image), False
        elif isinstance(step, Geometry) and not group.move(step):
            image = group.run(image)
            group, alone = _Group.of(image), False
            group.move(step)
    image = group.run(image)
    if mask is not None:
        # A mask has no colours and takes no part in passes over the image: fewer warps serve it.
        for motion in [group.motion] if alone else _mask_motions(mask, steps):
            mask = move_mask(mask, motion)
    return image, mask


def _mask_motions(mask: np.ndarray, steps: Sequence[Step]) -> list[Motion]:
    nothing = np.zeros(1)
    motions = [Motion(mask.shape[0], mask.shape[1])]
    for step in steps:
        if isinstance(step, Geometry) and not motions[-1].add(replace(step, order=0), nothing):
            motions.append(Motion(motions[-1].height, motions[-1].width))
            motions[-1].add(step, nothing)
    return motions


@dataclass
class _Group:
    """Geometry and colour that run as one warp and one table."""

    frame: Frame
    motion: Motion
    colours: list[Colour] = field(default_factory=list)
    drawn_fill: np.ndarray | None = None  # as the step has it, where no colour came before
    seen: int = 0  # colours that the motion's fill has gone through

    @classmethod
    def of(cls, image: np.ndarray) -> _Group:
        frame = Frame.of(image)
        return cls(frame, Motion(frame.height, frame.width))

    def paint(self, colour: Colour) -> None:
        """Append a colour step."""
        self.colours.append(colour)

    def move(self, step: Geometry) -> bool:
        """Append a geometry step; False, and nothing is changed, when it needs a warp of its own."""
        first = self.motion.border is None and not self.colours
        fill = None
        if step.border == "constant" and not step.whole:
            self._paint_fill()
            fill = fill_of(step, self.frame)
        moved = self.motion.add(step, fill)
        if first and moved:
            self.drawn_fill = self.motion.fill
        return moved

    def _paint_fill(self) -> None:
        """Send the fill through the colours that came after it."""
        if self.motion.fill is not None:
            self.motion.fill = recolour(self.motion.fill[None, None], self.colours[self.seen :])[0, 0]
        self.seen = len(self.colours)

    def run(self, image: np.ndarray) -> np.ndarray:
        """The image after all steps."""
        motion, colours = self.motion, self.colours
        if motion.still:
            return recolour(image, colours)
        if not colours:
            return move_image(image, motion)
        smaller = motion.height * motion.width <= motion.rows * motion.columns
        if smaller and (motion.fill is None or self.drawn_fill is not None):
            return move_image(image, motion, lambda moved: recolour(moved, colours), self.drawn_fill)
        self._paint_fill()
        if not smaller or image.dtype.kind == "f" or motion.fill is None:
            return move_image(recolour(image, colours), motion)
        # Colour came before the border: outside must be what the table turns into the border's value, if anything is.
        table = make_table(colours, image.dtype, image.shape[2])
        if (fill := unpainted(motion.fill, table)) is not None:
            return move_image(image, motion, lambda moved: look_up(moved, table), fill)
        return move_image(look_up(image, table), motion)


def _back(scores: np.ndarray, moves: Sequence[Geometry] | None, rows: int, columns: int) -> np.ndarray:
    """Scores H' x W' x classes of what the moves made of an image, for its rows x columns."""
    height, width, classes = scores.shape
    if not moves:
        return resize_scores(scores, rows, columns)
    last = moves[-1]
    matrix = functools.reduce(lambda total, step: step.matrix @ total, moves, np.eye(3))
    matrix = resizing(last.height, last.width, height, width).matrix @ matrix
    motion = Motion(height, width)
    motion.add(Geometry(np.linalg.inv(matrix), rows, columns), np.zeros(classes, np.float32))
    return np.ascontiguousarray(move_image(np.ascontiguousarray(scores, dtype=np.float32), motion))
