"""Black-76 implied volatility and sensitivities: arrays in, arrays and flag bits out. Pure numpy."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Bits: TypeAlias = npt.NDArray[np.uint16]

BLOCK_ROWS = 8_192
MAX_TOTAL_VOL = 5.0
MIN_TOTAL_VOL = 1e-6
DAYS_PER_YEAR = 365.0
POINTS = 100.0

_SQRT_HALF = float(np.sqrt(0.5))
_SQRT_2_OVER_PI = float(np.sqrt(2.0 / np.pi))
_INV_SQRT_2PI = float(np.sqrt(0.5 / np.pi))

# (1 + 2y) erfcx(y) as a polynomial in (y - 3) / (y + 3) for y >= 0, highest power first: a Chebyshev fit at 60 digits
# (tests/greeks/test_kernel_accuracy.py repeats the fit), relative error 4e-16.
_ERFCX = (
    8.393734858690877e-10,
    9.862533510345587e-10,
    -8.217595058711455e-09,
    -1.3312919661038687e-08,
    4.1064013667940355e-08,
    1.0183620603842736e-07,
    -1.4047654315428462e-07,
    -6.166011460398726e-07,
    3.5576086684080595e-07,
    3.472370944977168e-06,
    -7.308281468783614e-07,
    -2.0100542268525612e-05,
    4.949196649968345e-06,
    0.0001250993424583729,
    -0.00010515971958448065,
    -0.0007798322696543306,
    0.0018886903449991718,
    0.0025293918156939696,
    -0.02377051491717134,
    0.0683080273440099,
    -0.11927366341538638,
    0.1296451587027594,
    -0.0475622943534492,
    -0.13562110612458117,
    1.2530080582697296,
)


class Flag(IntFlag):
    """Why a row has no value (FATAL), or why its value deserves less trust. The kernel itself sets the first six."""

    BAD_INPUT = 1
    EXPIRED = 2
    BELOW_INTRINSIC = 4
    ABOVE_MAX = 8
    NO_TIME_VALUE = 16
    OUT_OF_RANGE = 32
    NEAR_EXPIRY = 64
    STALE_PRICE = 128
    STALE_FORWARD = 256
    WIDE_SPREAD = 512
    NO_PRICE = 1_024
    NO_FORWARD = 2_048
    FROM_PARITY = 4_096


FATAL = Flag.BAD_INPUT | Flag.EXPIRED | Flag.BELOW_INTRINSIC | Flag.ABOVE_MAX | Flag.NO_TIME_VALUE | Flag.OUT_OF_RANGE
SENSITIVITIES = ("delta", "gamma", "theta", "vega", "rho", "vanna", "charm", "vomma")
COLUMNS = ("iv", *SENSITIVITIES, "intrinsic", "time_value")


@dataclass(frozen=True, slots=True)
class Result:
    """One row per option; NaN where `flags` says why there is no value.

    iv is a fraction. delta and gamma are per rupee of the forward, theta and charm per calendar day, vega, rho and
    vanna per point (one hundredth), vomma per point squared. intrinsic and time_value are discounted rupees.
    """

    iv: Floats
    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats
    vanna: Floats
    charm: Floats
    vomma: Floats
    intrinsic: Floats
    time_value: Floats
    flags: Bits

    @classmethod
    def allocate(cls, rows: int) -> "Result":
        values = np.empty((len(COLUMNS), rows))
        return cls(**dict(zip(COLUMNS, values, strict=True)), flags=np.empty(rows, np.uint16))

    def part(self, rows: slice) -> "Result":
        return Result(**{name: getattr(self, name)[rows] for name in COLUMNS}, flags=self.flags[rows])

    def __len__(self) -> int:
        return len(self.flags)


def solve(  # noqa: PLR0913 (the inputs of the formula)
    price: npt.ArrayLike,
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    t: npt.ArrayLike,
    r: npt.ArrayLike,
    sign: npt.ArrayLike,
    *,
    tick: npt.ArrayLike = 0.0,
    out: Result | None = None,
) -> Result:
    """Return the implied volatility and all sensitivities of discounted option prices in one pass.

    `t` in years, `r` continuous, `sign` +1 for a call and -1 for a put; scalars broadcast. A row whose time value is
    below `tick` carries no volatility and is flagged. Raises ValueError for shapes that do not fit, never for data.
    """
    columns, rows = _columns(price, forward, strike, t, r, sign, tick)
    out = _checked(out, rows)
    for block, part in _blocks(rows):
        with np.errstate(all="ignore"):
            block.solve([column[part] for column in columns], out.part(part))
    return out


def greeks(  # noqa: PLR0913 (the inputs of the formula)
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    t: npt.ArrayLike,
    r: npt.ArrayLike,
    sign: npt.ArrayLike,
    iv: npt.ArrayLike,
    *,
    out: Result | None = None,
) -> Result:
    """Return the sensitivities at a given volatility; the price is `intrinsic + time_value`."""
    columns, rows = _columns(forward, strike, t, r, sign, iv)
    out = _checked(out, rows)
    for block, part in _blocks(rows):
        with np.errstate(all="ignore"):
            block.greeks([column[part] for column in columns], out.part(part))
    return out


def price(
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    t: npt.ArrayLike,
    r: npt.ArrayLike,
    sign: npt.ArrayLike,
    iv: npt.ArrayLike,
) -> Floats:
    """Return discounted prices, NaN where the inputs admit none."""
    result = greeks(forward, strike, t, r, sign, iv)
    total: Floats = result.intrinsic + result.time_value
    return total


def to_spot(*, result: Result, forward: npt.ArrayLike, spot: npt.ArrayLike, t: npt.ArrayLike) -> Result:
    """Return the rows with sensitivities to a spot that carries to the forward at a constant rate."""
    level, years = np.asarray(forward, np.float64), np.asarray(t, np.float64)
    growth = level / np.asarray(spot, np.float64)
    carry = np.log(growth) / years
    drift = carry * level
    return Result(
        iv=result.iv,
        delta=result.delta * growth,
        gamma=result.gamma * growth * growth,
        theta=result.theta - result.delta * drift / DAYS_PER_YEAR,
        vega=result.vega,
        rho=result.rho + result.delta * years * level / POINTS,
        vanna=result.vanna * growth,
        charm=growth * (result.charm - (carry * result.delta + drift * result.gamma) / DAYS_PER_YEAR),
        vomma=result.vomma,
        intrinsic=result.intrinsic,
        time_value=result.time_value,
        flags=result.flags,
    )


def _columns(*values: npt.ArrayLike) -> tuple[list[Floats], int]:
    arrays = [np.asarray(value, np.float64) for value in values]
    if any(array.ndim > 1 for array in arrays):
        raise ValueError("every column must have one dimension")
    (rows,) = np.broadcast_shapes((1,), *(array.shape for array in arrays))
    return [np.broadcast_to(array, (rows,)) for array in arrays], rows


def _checked(out: Result | None, rows: int) -> Result:
    if out is None:
        return Result.allocate(rows)
    if len(out) != rows:
        raise ValueError(f"out must have {rows} rows, was {len(out)}")
    return out


def _blocks(rows: int) -> Iterator[tuple["_Block", slice]]:
    block = _Block(min(rows, BLOCK_ROWS))
    for start in range(0, rows, BLOCK_ROWS):
        part = slice(start, min(start + BLOCK_ROWS, rows))
        if part.stop - start != block.rows:
            block = _Block(part.stop - start)
        yield block, part


class _Block:
    """Scratch columns for one block of rows. Every option is solved as the out-of-the-money one of its strike.

    With x = -|ln(forward / strike)| and s the total volatility, h = x / s and half = s / 2: the normalised price is
    exp(-(h^2 + half^2) / 2) / 2 times `gap`, the difference of erfcx at `sides` = (-h - half, -h + half) / sqrt(2).
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        scratch = np.empty((23, rows))
        (self.sign, self.t, self.rate, self.discount, self.forward, self.strike, self.low, self.high) = scratch[:8]
        (self.middle, self.x, self.s, self.h, self.half, self.gap, self.intrinsic, self.otm) = scratch[8:16]
        self.target = scratch[16]
        self.sides, self.scaled, self.work = scratch[17:].reshape(3, 2, rows)

    def solve(self, columns: list[Floats], out: Result) -> None:
        prices, *contract, tick = columns
        self.load(contract, out)
        out.flags[~(np.isfinite(prices) & (prices >= 0.0)) & (out.flags == 0)] = Flag.BAD_INPUT
        np.subtract(prices, out.intrinsic, out=out.time_value)
        np.divide(prices, self.discount, out=self.otm)
        self.otm -= self.intrinsic
        live = out.flags == 0
        out.flags[live & (out.time_value < tick)] = Flag.NO_TIME_VALUE
        out.flags[live & ~(self.otm > 0.0)] = Flag.BELOW_INTRINSIC
        out.flags[live & (self.otm >= self.low)] = Flag.ABOVE_MAX
        np.copyto(self.otm, 0.25 * self.low, where=out.flags != 0)
        self.start()
        self.improve()
        self.improve()
        self.check_range(out.flags)
        self.evaluate()
        self.emit(prices, out)

    def greeks(self, columns: list[Floats], out: Result) -> None:
        *contract, iv = columns
        self.load(contract, out)
        out.flags[~(np.isfinite(iv) & (iv > 0.0)) & (out.flags == 0)] = Flag.BAD_INPUT
        np.multiply(iv, np.sqrt(self.t), out=self.s)
        np.copyto(self.s, 1.0, where=out.flags != 0)
        self.check_range(out.flags)
        self.evaluate()
        np.multiply(self.gap, 0.5 * self.middle * self.discount * self.bell(), out=out.time_value)
        np.copyto(out.time_value, np.nan, where=out.flags != 0)
        self.emit(out.intrinsic + out.time_value, out)

    def load(self, contract: list[Floats], out: Result) -> None:
        forward, strike, t, r, sign = contract
        sound = np.isfinite(forward + strike + t + r) & (forward > 0.0) & (strike > 0.0) & (np.abs(sign) == 1.0)
        out.flags[:] = np.where(sound, np.where(t > 0.0, 0, Flag.EXPIRED), Flag.BAD_INPUT)
        live = out.flags == 0
        self.forward[:] = np.where(sound, forward, 1.0)
        self.strike[:] = np.where(sound, strike, 1.0)
        self.sign[:] = np.where(sound, sign, 1.0)
        self.t[:] = np.where(live, t, 1.0)
        self.rate[:] = np.where(live, r, 0.0)
        np.exp(-self.rate * self.t, out=self.discount)
        np.minimum(self.forward, self.strike, out=self.low)
        np.maximum(self.forward, self.strike, out=self.high)
        np.sqrt(self.forward * self.strike, out=self.middle)
        np.log1p((self.low - self.high) / self.high, out=self.x)
        np.maximum(self.sign * (self.forward - self.strike), 0.0, out=self.intrinsic)
        np.multiply(self.intrinsic, self.discount, out=out.intrinsic)
        np.copyto(out.intrinsic, np.nan, where=~sound)

    def start(self) -> None:
        """Explicit first guess of Stefanica and Radoicic (2017), rearranged so that no term cancels."""
        np.log(2.0 * self.otm / self.middle, out=self.target)
        alpha = self.otm / self.high
        m = self.low / self.high
        missing = (self.high - self.low) / self.high
        p = np.exp((1.0 - 2.0 / np.pi) * self.x)
        q = m / p
        k = alpha * (alpha + missing)
        b = missing * (p - q) + 2.0 * k * (p + 1.0 / p)
        c = k * (m - alpha) * (1.0 + alpha)
        root = np.sqrt(b * b + 4.0 * np.square(p - 1.0 / p) * c)
        gamma = (-0.5 * np.pi) * np.log(8.0 * c / (m * (b + root)))
        side = alpha - 0.5 * (np.sqrt(1.0 - q * q) - missing)
        lesser = np.sqrt(np.maximum(gamma + self.x, 0.0))
        np.add(np.sqrt(np.maximum(gamma - self.x, 0.0)), np.copysign(lesser, side), out=self.s)

    def improve(self) -> None:
        """One third-order Householder step on the logarithm of the price."""
        self.evaluate()
        slope = _SQRT_2_OVER_PI / self.gap
        error = np.log(self.gap) - self.target
        error -= 0.5 * (self.h * self.h + self.half * self.half)
        newton = -error / slope
        ratio = self.h * self.h / self.s
        bend = ratio - 0.25 * self.s
        gamma = bend - slope
        delta = bend * bend - 3.0 * ratio / self.s - 0.25 + slope * (2.0 * slope - 3.0 * bend)
        self.s += newton * (1.0 + 0.5 * gamma * newton) / (1.0 + newton * (gamma + newton * delta / 6.0))

    def evaluate(self) -> None:
        np.divide(self.x, self.s, out=self.h)
        np.multiply(self.s, 0.5, out=self.half)
        np.add(self.h, self.half, out=self.sides[0])
        np.subtract(self.h, self.half, out=self.sides[1])
        self.sides *= -_SQRT_HALF
        lower = np.minimum(self.sides[0], 0.0)
        self.erfcx()
        # erfcx(-y) = 2 exp(y^2) - erfcx(y): only the first side can be negative.
        reflected = np.exp(lower * lower)
        reflected *= 2.0 * (lower < 0.0)
        reflected += np.copysign(self.scaled[0], self.sides[0])
        self.scaled[0] = reflected
        np.subtract(reflected, self.scaled[1], out=self.gap)

    def erfcx(self) -> None:
        y, value, u = np.abs(self.sides), self.scaled, self.work
        np.subtract(y, 3.0, out=u)
        u /= y + 3.0
        np.multiply(u, _ERFCX[0], out=value)
        value += _ERFCX[1]
        for coefficient in _ERFCX[2:]:
            value *= u
            value += coefficient
        y *= 2.0
        y += 1.0
        value /= y

    def check_range(self, flags: Bits) -> None:
        within = (self.s <= MAX_TOTAL_VOL) & (self.s >= MIN_TOTAL_VOL)
        flags[~within & (flags == 0)] = Flag.OUT_OF_RANGE
        np.copyto(self.s, 1.0, where=~within)

    def bell(self) -> Floats:
        bell: Floats = np.exp(-0.5 * (self.h * self.h + self.half * self.half))
        return bell

    def emit(self, value: Floats, out: Result) -> None:
        root_t = np.sqrt(self.t)
        bell = self.bell()
        up = np.where(self.forward <= self.strike, 1.0, -1.0)
        lean = np.sqrt(self.high / self.low)
        # N(h + half) belongs to an out-of-the-money call, N(h - half) to a put.
        reach = np.where(up > 0.0, self.scaled[0] * lean, -self.scaled[1] / lean)
        density = self.middle * self.discount * bell * _INV_SQRT_2PI
        per_rupee = density / self.forward
        d2 = up * self.h - self.half
        d1_d2 = self.h * self.h - self.half * self.half
        iv, delta = out.iv, out.delta
        np.divide(self.s, root_t, out=iv)
        np.multiply(self.discount, 0.5 * bell * reach + 0.5 * (self.sign - up), out=delta)
        np.divide(per_rupee, self.forward * self.s, out=out.gamma)
        out.theta[:] = (self.rate * value - 0.5 * density * self.s / self.t) / DAYS_PER_YEAR
        out.vega[:] = density * root_t / POINTS
        out.rho[:] = -self.t * value / POINTS
        out.vanna[:] = -per_rupee * d2 / iv / POINTS
        out.charm[:] = (self.rate * delta + 0.5 * per_rupee * d2 / self.t) / DAYS_PER_YEAR
        out.vomma[:] = density * root_t * d1_d2 / iv / POINTS**2
        for name in COLUMNS[: 1 + len(SENSITIVITIES)]:
            np.copyto(getattr(out, name), np.nan, where=out.flags != 0)
        np.copyto(out.time_value, np.nan, where=(out.flags & (Flag.BAD_INPUT | Flag.EXPIRED)) != 0)
