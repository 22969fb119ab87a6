import pytest

from runtime.reconcile import Decision, reconcile
from runtime.signals import Side


@pytest.mark.parametrize("current", list(Side))
@pytest.mark.parametrize("target", list(Side))
def test_the_decision_is_the_difference_between_two_exposures(current: Side, target: Side) -> None:
    """An independent statement of the table: exposures are +1, -1 and 0; equal needs nothing, from 0 enters, to 0 exits, else turns."""
    exposure = {Side.LONG: 1, Side.SHORT: -1, Side.FLAT: 0}
    here, there = exposure[current], exposure[target]
    expected = Decision.SKIP if here == there else Decision.ENTER if here == 0 else Decision.EXIT if there == 0 else Decision.REVERSE
    assert reconcile(current=current, target=target) is expected
