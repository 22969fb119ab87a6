"""Is any user served earlier or later than the others on the whole?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median


def rank_uniformity_p(orders: Sequence[Sequence[str]], host_of: Mapping[str, str]) -> float:
    """Friedman's chi-square test: the probability of rank sums as uneven as these if every order of service is equally likely.

    `orders`: the users of each signal as they were served; ranks are taken among the users of one host, as hosts work side by
    side, and the hosts' statistics and degrees of freedom add up, which takes hosts whose orders do not depend on each other.
    Users missing from any signal are left out. A small p (< 0.05) says that some user is favoured or always late, one near 1 that
    turns are kept more evenly than by lot, as they are meant to be. The variance of the statistic over n signals is (n - 1) / n
    of chi-square's: with few signals p is drawn towards the middle, so twenty are wanted at least.
    M. Friedman, J. Am. Stat. Assoc. 32 (1937) 675.
    """
    from scipy.stats import chi2

    always = set(orders[0]) if orders else set[str]()
    for order in orders:
        always &= set(order)
    statistic, freedom = 0.0, 0
    for host in sorted(set(host_of.values())):
        users = {user for user in always if host_of[user] == host}
        if len(users) < 2:
            continue
        statistic += _friedman([[user for user in order if user in users] for order in orders])
        freedom += len(users) - 1
    return float(chi2.sf(statistic, freedom)) if freedom else 1.0


def host_gap_ms(filled: Sequence[Mapping[str, float]], host_of: Mapping[str, str]) -> float:
    """By how much the users of the slowest host are filled later than those of the fastest, whichever signal it is.

    `filled`: milliseconds of each user, for each signal. Of each host: the median over the signals of its median user's delay
    against all users' median. The ranks within hosts say nothing of this.
    """
    delays: defaultdict[str, list[float]] = defaultdict(list)
    for times in filled:
        middle = median(times.values())
        by_host: defaultdict[str, list[float]] = defaultdict(list)
        for user, ms in times.items():
            by_host[host_of[user]].append(ms - middle)
        for host, late in by_host.items():
            delays[host].append(median(late))
    each = [median(late) for late in delays.values()]
    return max(each) - min(each) if each else 0.0


def _friedman(orders: Sequence[Sequence[str]]) -> float:
    """12 / (n k (k+1)) · Σ R² − 3 n (k+1) for n orders of k users, R being each user's sum of ranks."""
    n, k = len(orders), len(orders[0])
    sums: defaultdict[str, int] = defaultdict(int)
    for order in orders:
        for rank, user in enumerate(order, start=1):
            sums[user] += rank
    return 12 / (n * k * (k + 1)) * sum(total * total for total in sums.values()) - 3 * n * (k + 1)
