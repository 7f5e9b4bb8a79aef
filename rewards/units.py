r"""Units of measure: ``cm^2``, ``miles per hour``, ``\text{ dollars}`` as a dimension and a scale.

A known unit has exact factors to the base of its dimension, so 1 m is 100 cm. A noun that counts
things (apples, students, ways) is no unit of measure: it says what the number is of, nothing more.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

from mathrl.rewards.notation import words
from mathrl.rewards.syntax import Node, node
from mathrl.rewards.tokens import Token

_TABLE = """
length: m meter meters metre metres 1; km kilometer kilometers kilometre kilometres 1000;
    cm centimeter centimeters centimetre centimetres 1/100; dm decimeter decimeters 1/10;
    mm millimeter millimeters millimetre millimetres 1/1000; um micrometer micrometers 1/1000000;
    nm nanometer nanometers 1/1000000000; in inch inches 127/5000; ft foot feet 381/1250;
    yd yard yards 1143/1250; mi mile miles 201168/125
mass: g gram grams 1; kg kgs kilogram kilograms kilo kilos 1000; mg milligram milligrams 1/1000;
    lb lbs pound pounds 45359237/100000; oz ounce ounces 45359237/1600000;
    ton tons tonne tonnes 1000000
time: s sec secs second seconds 1; min mins minute minutes 60; h hr hrs hour hours 3600;
    day days 86400; week weeks 604800; ms millisecond milliseconds 1/1000
month: month months 1; year years yr yrs 12; decade decades 120; century centuries 1200
volume: l L liter liters litre litres 1/1000; ml mL milliliter milliliters millilitre 1/1000000;
    cc 1/1000000; gallon gallons gal 473176473/125000000000; quart quarts 473176473/500000000000;
    pint pints 473176473/1000000000000; cup cups 473176473/2000000000000;
    tablespoon tablespoons tbsp 473176473/32000000000000;
    teaspoon teaspoons tsp 473176473/96000000000000
angle: degree degrees deg \N{DEGREE SIGN} 1
radian: radian radians rad rads 1
temperature: celsius \N{DEGREE SIGN}C 1
fahrenheit: fahrenheit \N{DEGREE SIGN}F 1
kelvin: K kelvin kelvins 1
dollar: dollar dollars usd USD bucks $ 1; cent cents 1/100; dime dimes 1/10; nickel nickels 1/20;
    quarter quarters 1/4; penny pennies 1/100
euro: euro euros eur EUR 1
pound: gbp GBP 1
yuan: yuan rmb 1
yen: yen 1
rupee: rupee rupees Rs Rs. 1
force: N newton newtons 1; kN kilonewton kilonewtons 1000
energy: J joule joules 1; eV 1602176634/10000000000000000000000000000;
    keV 1602176634/10000000000000000000000000; MeV 1602176634/10000000000000000000000;
    GeV 1602176634/10000000000000000000; kWh 3600000; MJ 1000000;
    kJ kilojoule kilojoules 1000; cal calorie calories 523/125
power: W watt watts 1; kW kilowatt kilowatts 1000; MW megawatt megawatts 1000000; mW 1/1000
voltage: V volt volts 1; mV millivolt millivolts 1/1000; kV 1000
current: A amp amps ampere amperes 1; mA milliamp milliamps 1/1000
pressure: Pa pascal pascals 1; kPa 1000; MPa 1000000; GPa 1000000000; atm 101325;
    bar bars 100000
resistance: ohm ohms 1; kohm 1000
capacitance: farad farads 1
data: bit bits 1; byte bytes 8; kbit 1000; Mbit 1000000; Gbit 1000000000; kB KB 8000; MB 8000000;
    GB 8000000000
frequency: Hz hertz 1; kHz 1000; MHz 1000000; rpm 1/60
amount: mol moles mole 1; mmol 1/1000
unit: unit units 1
speed: mph 1397/3125; kph kmh kmph 5/18
"""
_PREFIXES = {
    "p": Fraction(1, 10**12), "n": Fraction(1, 10**9), "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000), "k": Fraction(1000), "M": Fraction(10**6), "G": Fraction(10**9),
}  # fmt: skip
_PREFIXED = words("m g s L l N J W V A Pa Hz eV mol ohm F")
_LONG = {"F": "farad"}
"""Alone the letter is Fahrenheit's."""
_UPRIGHT = "~"
"""Marks a word that was set upright, where mN is a millinewton; in italics it is a product."""
_AREAS = {"acre": "25292852640000/6250000000", "hectare": "10000", "ha": "10000"}
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}
_COMPOUND = {"volume": {"length": 3}, "speed": {"length": 1, "time": -1}}
_SCALES = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "dozen": 12,
}  # fmt: skip
_NOT_UNITS = words(
    "and or plus minus times half halves third thirds fourth fourths fifth fifths sixth sixths"
    " seventh seventh eighth eighths ninth ninths tenth tenths hundredth hundredths thousandth"
    " thousandths millionth millionths twelfth twelfths score couple pair pairs not never but"
    " except mod over choose factorial if then maybe perhaps probably possibly roughly approx"
    " approximately about around ish guess hopefully wrong incorrect false excluded unless bn mil"
    " lakh crore quadrillion maximum minimum"
    " exclusive negated untrue inverse reciprocal tens grand gross bps debt pct"
    " percentage ppm mille basis hex octal binary negative unlikely"
    " none nothing infinity undefined pi root sqrt log where"
    " most least below above under over fewer less more beyond"
)
SMALL_WORDS = words("in on of to by at as for per")
"""Words that may follow a number in a sentence and begin what it is of."""
_MAX_TOKENS = 60
_MAX_ABBREVIATION = 3
LETTER_UNITS = words("m g s h L l N J W V A K")
_UNIT_PART = re.compile(
    r"([A-Za-z\N{DEGREE SIGN}$.']+)|\^\s*\{?\s*(-?[0-9]{1,2})\s*\}?|/|[0-9]+|[^\s]"
)
_GROUPED = frozenset(("degree", "circ", "frac"))


@node
class Unit(Node):
    """A unit: what it measures, how many base units it is, and its name where it is unknown."""

    dimension: tuple[tuple[str, int], ...]
    scale: Fraction
    name: str

    @property
    def is_generic(self) -> bool:
        """Tell ``units``, which measure whatever the question does."""
        return len(self.dimension) == 1 and self.dimension[0][0] == "unit"

    @property
    def is_symbol(self) -> bool:
        """Tell an abbreviation that is not in the table: two of them differ."""
        return not self.dimension and not self.name.replace(" ", "").islower()

    @property
    def is_known(self) -> bool:
        """Tell a unit of measure from a noun that counts things."""
        return bool(self.dimension)


@cache
def _table() -> dict[str, tuple[dict[str, int], Fraction]]:
    units: dict[str, tuple[dict[str, int], Fraction]] = {}
    text = _TABLE.replace("\\N{DEGREE SIGN}", "\N{DEGREE SIGN}")
    for line in re.sub(r"\n\s+", " ", text).strip().splitlines():
        kind, _, groups = line.partition(":")
        for group in groups.split(";"):
            *names, factor = group.split()
            dimension = _COMPOUND.get(kind, {kind: 1})
            for name in names:
                units[name] = (dimension, Fraction(factor))
    for name, factor in _AREAS.items():
        units[name] = units[f"{name}s"] = ({"length": 2}, Fraction(factor))
    return units


def is_unit(word: str) -> bool:
    """Tell whether a word is the name of a known unit."""
    return _known(word) is not None or word.lower() in _POWERS


def _known(word: str) -> tuple[dict[str, int], Fraction] | None:
    """Look a unit up; of abbreviations the case matters, mm is not Mm."""
    table = _table()
    if word in table:
        return table[word]
    if word[:1] == _UPRIGHT and word[2:] in _PREFIXED and word[1] in _PREFIXES:
        dimension, factor = table[_LONG.get(word[2:], word[2:])]
        return dimension, factor * _PREFIXES[word[1]]
    word = word.lstrip(_UPRIGHT)
    if word in table:
        return table[word]
    return table.get(word.lower()) if len(word) > _MAX_ABBREVIATION else None


def scale_of(word: str) -> int | None:
    """Give the number that a word multiplies by (``million``), or None."""
    return _SCALES.get(word.lower().removesuffix("s"))


def read_unit(tokens: Sequence[Token], max_words: int) -> Unit | None:
    """Read tokens as one unit phrase: ``cm^2``, ``miles per hour``, ``red balls``.

    Args:
        tokens: All that follows a number.
        max_words: Words that a phrase may have.

    Returns:
        The unit, or None where the tokens are something else.
    """
    if len(tokens) > _MAX_TOKENS:
        return None
    words = _words(tokens)
    if words is None or not words or len(words) > 2 * max_words:
        return None
    dimension: dict[str, int] = {}
    scale = Fraction(1)
    sign, pending = 1, 1
    names: list[str] = []
    last: tuple[dict[str, int], Fraction, int] | None = None
    for place, word in enumerate(words):
        lower = word.lower()
        if lower in _NOT_UNITS or lower.removesuffix("s") in _SCALES:
            return None
        if lower in ("per", "/", "an", "each", "every") or word == "a":
            sign = -1 if word != "a" or names else sign
        elif word[0] == "^" or lower in ("squared", "cubed"):
            power = int(word[1:]) if word[0] == "^" else _POWERS[lower]
            if last is None or not (2 <= power <= 3 or -3 <= power <= -1):
                return None
            _multiply(dimension, last[0], last[2] * (power - 1))
            scale *= last[1] ** (last[2] * (power - 1))
        elif lower in _POWERS:
            pending = _POWERS[lower]
        elif lower in SMALL_WORDS and (lower != "in" or _is_preposition(words, place)):
            names.append(lower)
        elif word in ("C", "F") and last is not None and last[0] == {"angle": 1}:
            kind = "temperature" if word == "C" else "fahrenheit"
            dimension, scale = {kind: 1}, Fraction(1)
            names.append(lower)
        elif lower in ("celsius", "fahrenheit") and last is not None:
            dimension, scale = dict(_table()[lower][0]), Fraction(1)
            names.append(lower)
        elif (known := _known(word)) is not None:
            _multiply(dimension, known[0], sign * pending)
            scale *= known[1] ** (sign * pending)
            last = (known[0], known[1], sign)
            pending = 1
            names.append(lower)
        else:
            is_word = word.islower() or (word.istitle() and len(word) > _MAX_ABBREVIATION)
            names.append(lower if is_word else word)
    kept = tuple(sorted((kind, power) for kind, power in dimension.items() if power))
    return Unit(kept, scale if kept else Fraction(1), " ".join(names))


def _is_preposition(words: Sequence[str], place: int) -> bool:
    """Tell the "in" of "12 in a box" from that of "12 in" and "12 in^2"."""
    if place + 1 == len(words):
        return False
    return words[place + 1][0] != "^" and words[place + 1] not in ("/", "per")


def _text_words(text: str) -> list[str] | None:
    r"""Cut the text of a unit into words and powers: ``m\,s^{-1}``; None where there is more."""
    plain = re.sub(r"\\(?:,|cdot|;|:|!| |times)", " ", text)
    words: list[str] = []
    for found in _UNIT_PART.finditer(plain):
        if found[1]:
            words.append(found[1])
        elif found[2]:
            words.append(f"^{found[2]}")
        elif found[0] == "/":
            words.append("per")
        elif found[0].isdigit():
            words.append(found[0])
        elif found[0].strip("-~ .,;()"):
            return None
    return words


def _multiply(dimension: dict[str, int], other: dict[str, int], power: int) -> None:
    for kind, exponent in other.items():
        dimension[kind] = dimension.get(kind, 0) + exponent * power


def _unit_word(word: str, mark: str) -> str:
    word = word if word[-1] != "." else word.rstrip(".") or "of"
    is_prefixed = word[1:] in _PREFIXED and word[0] in _PREFIXES
    return mark + word if is_prefixed and word not in _table() else word


def _words(tokens: Sequence[Token]) -> list[str] | None:
    """Flatten tokens into words, ``/`` and powers such as ``^2``; None where one is neither."""
    words: list[str] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.kind in ("text", "word", "symbol"):
            found = _text_words(token.value)
            if found is None:
                return None
            has_digits = any(part.isdigit() for part in found)
            if has_digits or (not found and token.value.strip(" .,;")):
                return None
            if token.kind == "symbol" and token.value not in LETTER_UNITS | {"a", "C", "F"}:
                return None
            mark = _UPRIGHT if token.kind == "text" else ""
            words.extend(_unit_word(word, mark) for word in found)
        elif token.kind == "command" and token.value == "frac":
            pass  # its two groups follow: \frac{\text{m}}{\text{s}}
        elif token.kind == "}" and tokens[index + 1 : index + 2]:
            if tokens[index + 1].kind == "{":
                words.append("/")
        elif token.kind == "/":
            words.append("/")
        elif token.kind in ("{", "}") and any(part.value in _GROUPED for part in tokens):
            pass
        elif token.kind == "^":
            index += 1
            inner = tokens[index : index + 1]
            if inner and inner[0].kind == "{":
                end = index
                while end < len(tokens) and tokens[end].kind != "}":
                    end += 1
                inner = tokens[index + 1 : end]
                index = end
            elif inner and inner[0].kind == "-":
                inner = tokens[index : index + 2]
                index += 1
            sign = ""
            if inner and inner[0].kind == "-":
                sign, inner = "-", inner[1:]
            if not inner or inner[0].kind != "number" or not inner[0].value.isdigit():
                return None
            words.append(f"^{sign}{inner[0].value[:3]}")
        elif token.kind == "degree":
            words.append("degree")
        elif token.kind == "command" and token.value == "Omega":
            words.append("ohm")
        elif token.value == "mu" and index + 1 < len(tokens):  # the micro of micrometres
            index += 1
            words.append(f"{_UPRIGHT}u{tokens[index].value}")
        elif token.kind == "in":
            words.append("in")
        elif token.kind not in ("*", "."):
            return None
        index += 1
    return words
