"""A budget: an amount and its unit, parsed once."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from .errors import BadValue


@dataclass(frozen=True)
class Budget:
    """How much may be asked: an amount and its unit.

    Examples
    --------
    >>> Budget.parse("5%")
    Budget(amount=5.0, unit='%')
    >>> str(Budget.parse("100 px/image"))
    '100 px/image'
    """

    amount: float
    unit: Literal["%", "regions", "px/image", "images"]

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read ``5%``, ``2000 regions``, ``100 px/image`` or ``20 images``.

        Raises
        ------
        BadValue
            If the text names no known unit or its amount is not above zero.
        """
        match = re.fullmatch(
            r"\s*([-+]?\d*\.?\d+)\s*(%|regions?|px/image|images?)\s*", text
        )
        if match is None:
            raise BadValue(
                f"a budget is an amount and a unit, got {text!r}; write for example "
                "'5%' (of all pixels), '2000 regions', '100 px/image' or '20 images'"
            )
        amount, unit = float(match[1]), match[2]
        unit = {"region": "regions", "image": "images"}.get(unit, unit)
        if amount <= 0:
            raise BadValue(f"a budget must be above zero, got {text!r}")
        if unit == "%" and amount > 100:
            raise BadValue(f"a budget in % is at most 100, got {text!r}")
        return cls(amount, unit)  # type: ignore[arg-type]

    def __str__(self) -> str:
        space = "" if self.unit == "%" else " "
        amount = f"{self.amount:.12f}".rstrip("0").rstrip(".")
        return f"{amount}{space}{self.unit}"

    def shares(self, parts: int) -> list["Budget"]:
        """Return what each of `parts` rounds may spend, as equal as can be.

        Regions and images stay whole: the rounds together ask all of them.

        Raises
        ------
        BadValue
            If there are fewer regions or images than parts.

        Examples
        --------
        >>> [str(share) for share in Budget.parse("1101 regions").shares(4)]
        ['275 regions', '275 regions', '275 regions', '276 regions']
        """
        if self.unit not in ("regions", "images"):
            return [Budget(self.amount / parts, self.unit)] * parts
        if self.amount < parts:
            raise BadValue(
                f"{self} cannot be shared among {parts} rounds: give a larger budget "
                "or fewer rounds"
            )
        ends = [self.amount * part // parts for part in range(parts + 1)]
        return [Budget(last - first, self.unit) for first, last in pairwise(ends)]
