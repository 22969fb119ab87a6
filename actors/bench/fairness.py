"""Is any user served earlier or later than the others on the whole?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence


def rank_uniformity_p(orders: Sequence[Sequence[str]], host_of: Mapping[str, str]) -> float:
    """Friedman's chi-square test: the probability of rank sums as uneven as these if every order of service is equally likely.

    `orders`: the users of each signal as they were served; ranks are taken among the users of one host, as hosts work side by
    side, and the hosts' statistics and degrees of freedom add up. Users missing from any signal are left out. A small p
    (< 0.01) says that some user is favoured or always late. M. Friedman, J. Am. Stat. Assoc. 32 (1937) 675.
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


def _friedman(orders: Sequence[Sequence[str]]) -> float:
    """12 / (n k (k+1)) · Σ R² − 3 n (k+1) for n orders of k users, R being each user's sum of ranks."""
    n, k = len(orders), len(orders[0])
    sums: defaultdict[str, int] = defaultdict(int)
    for order in orders:
        for rank, user in enumerate(order, start=1):
            sums[user] += rank
    return 12 / (n * k * (k + 1)) * sum(total * total for total in sums.values()) - 3 * n * (k + 1)
