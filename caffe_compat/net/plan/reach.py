"""Which rows and columns of a map an image reaches, and which are near enough to the border to feel it.

All functions are of one axis. Intervals are half open, in the map's own coordinates, and may lie outside it.
"""

from dataclasses import dataclass

__all__ = ["Axis", "Border", "Interval"]

Interval = tuple[int, int]


@dataclass(frozen=True)
class Border:
    """Of ``size`` positions, the first ``before`` and the last ``after`` feel the border when the image is zero."""

    size: int
    before: int
    after: int

    @property
    def middle(self) -> Interval:
        """The positions where the map is constant."""
        return self.before, self.size - self.after


@dataclass(frozen=True)
class Axis:
    """One axis of a Convolution's or Pooling's window: value o of the top sees o stride - pad ... + extent - 1."""

    extent: int
    stride: int
    pad: int

    def seen_by(self, tops: Interval) -> Interval:
        """The bottom positions that these top positions see."""
        return tops[0] * self.stride - self.pad, (tops[1] - 1) * self.stride - self.pad + self.extent

    def reached(self, bottoms: Interval, size: int) -> Interval:
        """The top positions, of ``size``, that see any of these bottom positions."""
        first = -((self.extent - 1 - self.pad - bottoms[0]) // self.stride)
        last = (bottoms[1] - 1 + self.pad) // self.stride
        return max(0, first), min(size, last + 1)

    def border(self, bottom: Border, size: int) -> Border:
        """The top's border, of ``size`` positions."""
        first = -((-bottom.before - self.pad) // self.stride)
        last = (bottom.size - bottom.after - self.extent + self.pad) // self.stride
        return Border(size, first, size - 1 - last)

    def pads_for(self, begin: int, size: int, tops: Interval) -> int:
        """Zeros to add on both sides of bottom positions begin ... begin + size - 1 to get these top positions.

        The top then begins at (begin - zeros + pad) / stride, which is a whole number.
        """
        seen = self.seen_by(tops)
        zeros = max(0, begin - seen[0], seen[1] - begin - size)
        return zeros + (begin - zeros + self.pad) % self.stride
