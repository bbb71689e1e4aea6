import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose

from semisynth.reporting.statistics import mcnemar_exact, paired_bootstrap, proportion_interval


def planted(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Correctness of a and b with given counts, in shuffled order."""
    pairs = np.repeat(
        [[True, True], [True, False], [False, True], [False, False]], [both, only_a, only_b, neither], 0
    )
    np.random.default_rng(0).shuffle(pairs)
    return pairs[:, 0], pairs[:, 1]


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
@pytest.mark.parametrize(("errors", "n"), [(0, 20), (1, 20), (7, 20), (20, 20), (45, 10_000), (1, 1)])
def test_wilson_interval_is_scipys(errors: int, n: int, level: float) -> None:
    expected = scipy.stats.binomtest(errors, n).proportion_ci(level, method="wilson")
    assert_allclose(proportion_interval(errors, n, level), (expected.low, expected.high), rtol=1e-12, atol=1e-15)


def test_wilson_interval_of_the_literature() -> None:
    """Newcombe (1998), table I: 81 of 263 at 95 %."""
    assert_allclose(proportion_interval(81, 263, 0.95), (0.2553, 0.3662), atol=5e-5)


@pytest.mark.parametrize(("errors", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_proportion_is_refused(errors: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"errors={errors}, n={n}"):
        proportion_interval(errors, n, 0.95)


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (0, 1), (0, 6), (3, 3), (10, 2), (2, 10), (40, 61), (900, 400)]
)
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(only_a: int, only_b: int) -> None:
    a, b = planted(500, only_a, only_b, 30)
    total = only_a + only_b
    expected = scipy.stats.binomtest(only_b, total, 0.5).pvalue if total else 1.0
    assert mcnemar_exact(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_an_exact_p_is_never_0() -> None:
    assert 0 < mcnemar_exact(*planted(4, 0, 5000, 1)) < 1e-300


def test_mcnemar_by_hand() -> None:
    """Six tosses that all fall on one side: 2 / 2^6."""
    assert mcnemar_exact(*planted(4, 0, 6, 1)) == pytest.approx(2 / 64)


@pytest.mark.parametrize("counts", [(70, 5, 15, 10), (300, 40, 10, 50), (180, 0, 9, 11)])
def test_bootstrap_agrees_with_scipys(counts: tuple[int, int, int, int]) -> None:
    a, b = planted(*counts)
    own = paired_bootstrap(a, b, resamples=40_000, level=0.9, seed=1)
    scipys = scipy.stats.bootstrap(
        (a.astype(float), b.astype(float)),
        lambda x, y, axis=-1: y.mean(axis) - x.mean(axis),
        paired=True,
        vectorized=True,
        n_resamples=4000,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    spread = np.sqrt(counts[1] + counts[2]) / len(a)  # standard deviation of the change, about
    assert_allclose(own, (scipys.low, scipys.high), atol=max(0.12 * spread, 1.5 / len(a)))


def test_bootstrap_keeps_the_pairs() -> None:
    """Unpaired, two classifiers of 50 % would give a wide interval; identical ones differ nowhere."""
    correct = np.arange(100) % 2 == 0
    assert paired_bootstrap(correct, correct, resamples=500, level=0.95, seed=0) == (0.0, 0.0)


def test_bootstrap_has_a_sign_and_a_seed() -> None:
    a, b = planted(50, 5, 25, 20)
    first = paired_bootstrap(a, b, resamples=1000, level=0.95, seed=7)
    low, high = first
    assert 0 < low < 0.2 < high
    assert paired_bootstrap(a, b, resamples=1000, level=0.95, seed=7) == first
    assert paired_bootstrap(a, b, resamples=1000, level=0.95, seed=8) != first
    assert paired_bootstrap(b, a, resamples=1000, level=0.95, seed=7)[1] < 0


def test_bootstrap_covers_as_often_as_it_says() -> None:
    """Of 400 experiments with a true change of 0.1, about 90 % of the intervals hold it."""
    generator = np.random.default_rng(5)
    held = 0
    for seed in range(400):
        kind = generator.choice(3, 300, p=[0.1, 0.2, 0.7])  # worse, better, same
        low, high = paired_bootstrap(kind == 0, kind == 1, resamples=400, level=0.9, seed=seed)
        held += low <= 0.1 <= high
    assert 0.85 < held / 400 < 0.94


@pytest.mark.parametrize(
    "function", [mcnemar_exact, lambda a, b: paired_bootstrap(a, b, resamples=9, level=0.9, seed=0)]
)
def test_arrays_that_do_not_pair_are_refused(function) -> None:
    with pytest.raises(ValueError, match=r"received \(3,\) and \(4,\)"):
        function(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(ValueError, match="n >= 1"):
        function(np.ones(0, bool), np.ones(0, bool))
    with pytest.raises(ValueError, match="received int64 and bool"):
        function(np.ones(3, np.int64), np.ones(3, bool))
