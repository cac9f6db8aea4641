"""The curves against the differential equation that defines them, and against closed forms."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from kernels.theory.optimisers.curves import GeneralCurve, StructuredCurve, sech_integral


def follow(w: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """rho of dw_l/dnu = prod_{k != l} w_k after nu, one coordinate a column, by an explicit method of order 8."""

    def velocity(s: float, state: np.ndarray) -> np.ndarray:
        parts = state.reshape(w.shape)
        return np.ravel([nu * np.delete(parts, layer, axis=0).prod(axis=0) for layer in range(len(w))])

    answer = solve_ivp(velocity, (0, 1), w.ravel(), "DOP853", rtol=1e-13, atol=1e-16)
    return answer.y[:, -1].reshape(w.shape).prod(axis=0)


def starts(depth: int) -> np.ndarray:
    """Random starts, and zero, nearly tied, exactly tied and widely spread layers; w_1 is the least of some."""
    w = np.random.default_rng(depth).standard_normal((depth, 12))
    w[-1, 0] = w[0, 1] = 0.0
    w[1, 2] = w[0, 2] * (1 + 1e-6)
    w[1, 3] = -w[0, 3] * (1 + 1e-12)
    w[:, 4] = 0.7
    w[:2, 5] = 0.3, -0.3
    w[0, 6], w[1, 7] = 1e-3, 1e-8
    return w


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("length", [-2.5, -0.6, 0.4, 1.3])
def test_general_curve_follows_its_equation(depth: int, length: float) -> None:
    w = starts(depth)
    curve = GeneralCurve(w)
    z = length * np.linspace(0.2, 1, w.shape[1])
    nu = curve.nu(z)
    rho = curve.at(z).rho
    np.testing.assert_allclose(rho, follow(w, nu), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(curve.at(np.zeros_like(z)).rho, w.prod(axis=0), rtol=1e-7, atol=1e-15)


def test_coordinates_change_sign() -> None:
    """rho passes through zero where the least layer is alone, however far the start is."""
    w = np.array([[0.2, -0.2, 1e-3], [1.0, 0.5, 0.4], [-1.5, 2.0, 0.9]])
    curve = GeneralCurve(w)
    z = np.where(w.prod(axis=0) > 0, -3.0, 3.0)
    rho = curve.at(z).rho
    assert (np.sign(rho) == -np.sign(w.prod(axis=0))).all()
    np.testing.assert_allclose(rho, follow(w, curve.nu(z)), rtol=1e-10)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_tied_coordinates_keep_their_sign(depth: int) -> None:
    w = np.array([[0.5, -0.4]] * 2 + [[0.9, 0.8]] * (depth - 2))
    for z in (-8.0, 8.0):
        rho = GeneralCurve(w).at(np.full(2, z)).rho
        assert (np.sign(rho) == np.sign(w.prod(axis=0))).all()


@pytest.mark.parametrize("depth", [2, 3, 4, 7])
def test_structured_curve_is_the_general_one(depth: int) -> None:
    c = np.array([1e-3, 0.2, 1.0, 30.0])
    w = np.vstack([np.tile(c, (depth - 1, 1)), np.zeros(4)])
    structured, general = StructuredCurve(c, depth), GeneralCurve(w)
    for z in (np.linspace(-9, 9, 4), np.array([1e-12, -1e-5, 0.3, -2.0])):
        for one, other in zip(structured.at(z), general.at(z), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13)
        np.testing.assert_allclose(structured.nu(z), general.nu(z), rtol=1e-13)
        np.testing.assert_allclose(structured.potential(z), general.potential(z), rtol=1e-10)


@pytest.mark.parametrize("power", range(-1, 9))
def test_sech_integral(power: int) -> None:
    z = np.array([-20.0, -3.0, -1e-3, 0.0, 1e-9, 0.7, 5.0])
    expected = [quad(lambda s: np.cosh(s) ** -power, 0, end, epsabs=0, epsrel=1e-13, limit=500)[0] for end in z]
    np.testing.assert_allclose(sech_integral(z, power), expected, rtol=1e-11)


def test_derivatives_and_increments() -> None:
    """drho/dz and dnu/dz by differences; nu by steps of up to 2 adds up to nu from the start."""
    for curve in (GeneralCurve(starts(4)), StructuredCurve(np.geomspace(0.01, 1, 12), 4)):
        z = np.linspace(-2, 3, 12)
        step = 1e-6
        ahead, behind = curve.at(z + step), curve.at(z - step)
        point = curve.at(z)
        np.testing.assert_allclose(point.drho, (ahead.rho - behind.rho) / (2 * step), rtol=1e-6)
        np.testing.assert_allclose(point.dnu, (curve.nu(z + step) - curve.nu(z - step)) / (2 * step), rtol=1e-6)
        nu = np.zeros(12)
        for k in range(2):
            nu = curve.advance(nu, k * z / 2, (k + 1) * z / 2)
        np.testing.assert_allclose(nu, curve.nu(z), rtol=1e-12)


def test_potential_is_the_integral_of_nu() -> None:
    curve = GeneralCurve(starts(3))
    expected = 0.0
    for j in range(12):
        unit = np.eye(12)[j]
        expected += quad(lambda s, u=unit: float(curve.nu(s * u) @ curve.at(s * u).drho), 0, 1.5, epsrel=1e-12)[0]
    assert curve.potential(np.full(12, 1.5)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_a_chart_value_does_not_depend_on_the_others(depth: int) -> None:
    """At the start and 1e-36 from it a coordinate is exact at once, and stays while others are found."""
    z = np.array([[0.0, 1e-36, -3e-20, 1e-9], [0.5, -2.0, 7.0, -15.0]])
    for curve in (
        StructuredCurve(np.full(z.shape, 0.3), depth),
        StructuredCurve(np.array([[1e7], [1e3]]) + 0 * z, depth),
    ):
        np.testing.assert_allclose(curve.chart(curve.at(z).rho), z, rtol=1e-14, atol=0)
    w = np.random.default_rng(depth).standard_normal((depth, *z.shape))
    curve, rho = GeneralCurve(w), GeneralCurve(w).at(z).rho
    together = curve.chart(rho)
    for place in range(len(z)):
        np.testing.assert_array_equal(together[place], curve.of(place).chart(rho[place]))
