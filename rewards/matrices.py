r"""Read matrices, vectors, systems and determinants: what stands between ``\begin`` and ``\end``.

A sum of multiples of matrices or vectors is worked out entry by entry, so that an answer may be
written as a point plus a parameter times a direction.
"""

from collections.abc import Callable, Sequence
from itertools import permutations

from mathrl.rewards.latex import parse
from mathrl.rewards.literals import ParseError
from mathrl.rewards.notation import words
from mathrl.rewards.pratt import negative
from mathrl.rewards.syntax import Expression, Product, Sum
from mathrl.rewards.tokens import Token
from mathrl.rewards.values import EXPRESSIONS, Bracketed, Listing, Matrix, Value

_MATRICES = words("pmatrix bmatrix Bmatrix matrix smallmatrix array vmatrix Vmatrix")
_SYSTEMS = words("cases aligned align gathered split equation gather alignedat dcases")
_RELATIONS = frozenset(("=", "<", ">", "<=", ">=", "!="))
_MAX_ENTRIES = 400
_MAX_DETERMINANT = 4

ReadValue = Callable[[Sequence[Token]], Value]


def environment(tokens: Sequence[Token], read: ReadValue) -> Value | None:
    r"""Read tokens that are one environment, perhaps in brackets, with ``^T`` or a left brace.

    Args:
        tokens: From its ``\begin`` to its ``\end``.
        read: Reads the rows of a system.

    Returns:
        A matrix, a determinant (an expression) or a system; None where there is more.
    """
    if tokens[0].kind in ("{set", "[", "(") and tokens[1].kind == "environment":
        closing = {"[": "]", "(": ")", "{set": "set}"}[tokens[0].kind]
        tokens = tokens[1:-1] if tokens[-1].kind == closing else tokens[1:]
    is_transposed = len(tokens) > 2 and tokens[-2].kind == "^" and tokens[-1].value in ("T", "t")
    if is_transposed:
        tokens = tokens[:-2]
    is_determinant = tokens[0].value == "det" or (tokens[0].kind == "|" == tokens[-1].kind)
    if is_determinant:
        tokens = tokens[1:-1] if tokens[0].kind == "|" else tokens[1:]
    name = _name(tokens[0])
    if name is None or _end_of(tokens) != len(tokens) - 1:
        return None
    inner = tokens[1:-1]
    if name == "array" and inner and inner[0].kind == "{":  # its column format
        end = next((place for place, token in enumerate(inner) if token.kind == "}"), None)
        if end is None:
            raise ParseError("the columns of an array are not closed")
        inner = inner[end + 1 :]
    is_system = name == "array" and any(token.kind in _RELATIONS for token in inner)
    if name in _SYSTEMS or is_system:
        return _system(inner, read)
    if name not in _MATRICES:
        raise ParseError(f"{name} is no matrix")
    matrix = _matrix(inner)
    if is_transposed:
        matrix = Matrix(tuple(zip(*matrix.rows, strict=True)))
    return determinant(matrix) if name == "vmatrix" or is_determinant else matrix


def combination(tokens: Sequence[Token], read: ReadValue) -> Value | None:
    r"""Work out ``a + t b`` for vectors or matrices a and b.

    Args:
        tokens: A sum of multiples, nothing else.
        read: Reads one vector or matrix.

    Returns:
        Its entries as sums, or None where the tokens are something else.
    """
    terms = _terms(tokens)
    if not terms or (len(terms) == 1 and terms[0][1][0].kind == "symbol"):  # f(x, y) is a call
        return None
    read_terms = [_term(sign, term, read) for sign, term in terms]
    shapes = {(shape, len(entries)) for shape, entries in filter(None, read_terms)}
    if len(shapes) != 1 or None in read_terms:
        return None
    columns = zip(*(entries for _, entries in filter(None, read_terms)), strict=True)
    sums = tuple(part[0] if len(part) == 1 else Sum(part) for part in columns)
    width, _ = shapes.pop()
    if width == 0:
        return Bracketed(sums, "(", ")")
    return Matrix(tuple(sums[start : start + width] for start in range(0, len(sums), width)))


def determinant(matrix: Matrix) -> Expression:
    """Expand a determinant over all permutations.

    Args:
        matrix: Square and small.

    Raises:
        ParseError: It is not.
    """
    size = len(matrix.rows)
    if size > _MAX_DETERMINANT or any(len(row) != size for row in matrix.rows):
        raise ParseError("no determinant of this size")
    if size == 1:
        return matrix.rows[0][0]
    terms: list[Expression] = []
    for order in permutations(range(size)):
        term: Expression = Product(tuple(matrix.rows[row][order[row]] for row in range(size)))
        inversions = sum(order[i] > order[j] for j in range(size) for i in range(j))
        terms.append(negative(term) if inversions % 2 else term)
    return Sum(tuple(terms))


def _name(token: Token) -> str | None:
    if token.kind != "environment" or not token.value.startswith("begin"):
        return None
    return token.value[6:-1].rstrip("*")


def _end_of(tokens: Sequence[Token]) -> int:
    """Find where the environment that the first token begins is ended."""
    depth = 0
    for place, token in enumerate(tokens):
        if token.kind == "environment":
            depth += 1 if token.value.startswith("begin") else -1
            if depth == 0:
                return place
    return -1


def _rows(tokens: Sequence[Token]) -> list[list[Token]]:
    rows: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.kind in ("{", "environment")) - (token.kind == "}")
        if token.kind == "environment" and token.value.startswith("end"):
            depth -= 2
        if token.kind == "newline" and depth == 0:
            rows.append([])
        elif token.value not in ("hline", "noalign"):
            rows[-1].append(token)
    return [row for row in rows if row]


def _matrix(tokens: Sequence[Token]) -> Matrix:
    rows = []
    for row in _rows(tokens):
        entries: list[list[Token]] = [[]]
        for token in row:
            if token.kind == "&":
                entries.append([])
            else:
                entries[-1].append(token)
        rows.append(tuple(parse(_stripped(entry)) for entry in entries))
    if not rows or len({len(row) for row in rows}) != 1:
        raise ParseError("the rows of a matrix have different lengths")
    if len(rows) * len(rows[0]) > _MAX_ENTRIES:
        raise ParseError("the matrix is too large")
    return Matrix(tuple(rows))


def _stripped(tokens: list[Token]) -> list[Token]:
    return tokens[:-1] if tokens and tokens[-1].kind in (",", ";") else tokens


def _system(tokens: Sequence[Token], read: ReadValue) -> Value:
    rows = [_system_row(row) for row in _rows(tokens)]
    if not rows:
        raise ParseError("an empty system")
    values = [read(row) for row in rows]
    return values[0] if len(values) == 1 else Listing(tuple(values))


def _system_row(row: Sequence[Token]) -> list[Token]:
    """Join the columns of a row: a condition stays apart from its value, an equation is one."""
    place = next((place for place, token in enumerate(row) if token.kind == "&"), None)
    if place is None:
        return list(row)
    left, right = list(row[:place]), [token for token in row[place + 1 :] if token.kind != "&"]
    while left and left[-1].kind in (",", ";"):
        left.pop()
    if right and right[0].kind == "where":
        return [*left, *right]
    is_equation = any(token.kind in ("=", "<", ">", "<=", ">=") for token in left)
    starts_with_relation = bool(right) and right[0].kind in _RELATIONS | {"+", "-"}
    if not left or not right or is_equation or starts_with_relation:
        return [*left, *right]
    return [*left, Token("where", "if", True), *right]


def _terms(tokens: Sequence[Token]) -> list[tuple[int, Sequence[Token]]]:
    """Cut a sum into its terms with their signs."""
    depth, start, sign = 0, 0, 1
    terms: list[tuple[int, Sequence[Token]]] = []
    for place, token in enumerate(tokens):
        if token.kind == "environment":
            depth += 1 if token.value.startswith("begin") else -1
        else:
            opens = token.kind in ("(", "[", "{", "<angle", "{set")
            depth += opens - (token.kind in (")", "]", "}", "angle>", "set}"))
        if depth == 0 and token.kind in ("+", "-"):
            if place > start:
                terms.append((sign, tokens[start:place]))
            sign, start = (1 if token.kind == "+" else -1), place + 1
    if start < len(tokens):
        terms.append((sign, tokens[start:]))
    return terms


def _term(
    sign: int, tokens: Sequence[Token], read: ReadValue
) -> tuple[int, tuple[Expression, ...]] | None:
    """Read one multiple: its row length (0 for a tuple) and its entries."""
    start = next(
        (
            place
            for place, token in enumerate(tokens)
            if _name(token) in _MATRICES or _is_tuple(tokens, place)
        ),
        None,
    )
    if start is None:
        return None
    factor = list(tokens[:start])
    if factor and factor[-1].kind == "*":
        factor.pop()
    vector = read(tokens[start:])
    if isinstance(vector, Matrix):
        width, entries = len(vector.rows[0]), [entry for row in vector.rows for entry in row]
    elif isinstance(vector, Bracketed):
        if not all(isinstance(item, EXPRESSIONS) for item in vector.items):
            return None
        width, entries = 0, list(vector.items)  # type: ignore[arg-type]
    else:
        return None
    if factor:
        try:
            scalar = parse(factor)
        except ParseError:  # \max(a, b) is no multiple of a pair
            return None
        entries = [Product((scalar, entry)) for entry in entries]
    return width, tuple(negative(entry) if sign < 0 else entry for entry in entries)


def _is_tuple(tokens: Sequence[Token], place: int) -> bool:
    """Tell whether a bracket that ends the tokens opens here, with commas inside."""
    if tokens[place].kind not in ("(", "<angle", "["):
        return False
    depth = 0
    for ahead, token in enumerate(tokens[place:], place):
        opens = token.kind in ("(", "[", "{", "<angle")
        depth += opens - (token.kind in (")", "]", "}", "angle>"))
        if depth == 0:
            is_last = ahead == len(tokens) - 1
            return is_last and any(inner.kind == "," for inner in tokens[place:ahead])
    return False
