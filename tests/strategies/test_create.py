"""Strategies by name, with parameters as a user writes them."""

from __future__ import annotations

import contextlib
import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidConfig
from strategies import REGISTRY, create
from strategies.ema_cross import EmaCross
from strategies.external import External
from strategies.index_options_scalper import IndexOptionsScalper
from tests.builders import at
from tests.strategies.drawing import context, draw


def test_the_registry_names_the_built_in_strategies() -> None:
    assert list(REGISTRY.items()) == [("index_options_scalper", IndexOptionsScalper), ("ema_cross", EmaCross), ("external", External)]
    assert [type(create(name)) for name in REGISTRY] == list(REGISTRY.values())


def test_text_is_converted_by_the_parameters_type() -> None:
    as_text = create("index_options_scalper", {"ema_fast": "5", "pcr_min": "none", "stop_loss_percent": "0.3", "rules": "orb, momentum"})
    as_values = create("index_options_scalper", {"ema_fast": 5, "pcr_min": None, "stop_loss_percent": 0.3, "rules": ["momentum", "orb"]})
    prices = [(100.0 + n, 103.0 + n, 100.0 + n, 103.0 + n) for n in range(60)]

    spoken = [[s.on_candle(candle, context()) for candle in draw(*prices)] for s in (as_text, as_values)]
    assert spoken[0] == spoken[1]
    assert any(spoken[0])


@pytest.mark.parametrize(
    ("name", "parameters", "complaint"),
    [
        ("scalper", {}, "strategy = 'scalper': is not known; known are index_options_scalper, ema_cross"),
        ("ema_cross", {"fast": 9}, "ema_cross.fast = 9: is not a parameter; known are fast_period, slow_period"),
        ("ema_cross", {"fast_period": "nine"}, "ema_cross.fast_period = 'nine': Expected `int`"),
        ("ema_cross", {"fast_period": 0}, "ema_cross.fast_period = 0: Expected `int` >= 1"),
        ("ema_cross", {"fast_period": 2.5}, "ema_cross.fast_period = 2.5: Expected `int`"),
        ("ema_cross", {"fast_period": True}, "ema_cross.fast_period = True: Expected `int`"),
        ("ema_cross", {"fast_period": 30}, "ema_cross.fast_period = 30: must be below slow_period (21)"),
        ("index_options_scalper", {"ema_fast": 21}, "ema_fast = 21: must be below ema_slow (21)"),
        ("index_options_scalper", {"stop_loss_percent": "20"}, "stop_loss_percent = '20': Expected `float` < 1.0"),
        ("index_options_scalper", {"stop_loss_percent": "nan"}, "stop_loss_percent = 'nan'"),
        ("index_options_scalper", {"reward_risk": "inf"}, "reward_risk = 'inf'"),
        ("index_options_scalper", {"reward_risk": None}, "reward_risk = None"),
        ("index_options_scalper", {"breakout_on": "wick"}, "breakout_on = 'wick'"),
        ("index_options_scalper", {"volume_filter": "maybe"}, "volume_filter = 'maybe'"),
        ("index_options_scalper", {"rules": "orb,luck"}, "rules = 'orb,luck': name one or more of orb, inside_bar, reversal, momentum"),
        ("index_options_scalper", {"rules": []}, "rules = []"),
        ("index_options_scalper", {"orb_end": "9:30"}, "orb_end = '9:30'"),
        ("index_options_scalper", {"orb_end": "09:15"}, "orb_end = '09:15': must be after orb_start (09:15)"),
        ("index_options_scalper", {"trade_lock_minutes": -1}, "trade_lock_minutes = -1: Expected `int` >= 0"),
        ("index_options_scalper", {"pcr_min": "-0.5"}, "pcr_min = '-0.5'"),
    ],
)
def test_a_bad_parameter_is_refused_with_name_value_and_fix(name: str, parameters: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidConfig, match=re.escape(complaint)):
        create(name, parameters)


_SCALPER_PARAMETERS = list(inspect.signature(IndexOptionsScalper).parameters)


@given(
    st.dictionaries(
        st.sampled_from(_SCALPER_PARAMETERS),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text())),
    )
)
def test_whatever_is_given_the_only_error_is_an_invalid_config(parameters: dict[str, object]) -> None:
    with contextlib.suppress(InvalidConfig):
        create("index_options_scalper", parameters)


@pytest.mark.parametrize("strategy", REGISTRY.values())
def test_every_parameter_is_documented(strategy: type) -> None:
    documentation = inspect.getdoc(strategy) or ""
    for name in inspect.signature(strategy).parameters:
        assert re.search(rf"\b{name}\b[^\n]*:", documentation), name


def test_the_ema_cross_follows_the_faster_average() -> None:
    """EMA(1) is the close; EMA(2) starts at (10 + 20) / 2 and moves by 2/3 of the distance."""
    strategy = EmaCross(fast_period=1, slow_period=2)
    targets = [strategy.on_candle(candle, context()) for candle in draw((10, 10, 10, 10), (20, 20, 20, 20), (5, 5, 5, 5), (5, 5, 5, 5))]

    assert targets[0] is None
    assert [(t.direction, t.price, t.context) for t in targets[1:] if t] == [
        ("LONG", 20, {"ema_fast": 20, "ema_slow": 15}),
        ("SHORT", 5, {"ema_fast": 5, "ema_slow": pytest.approx(15 - 20 / 3)}),
        ("SHORT", 5, {"ema_fast": 5, "ema_slow": pytest.approx(15 - 20 / 3 - (10 / 3) * 2 / 3)}),
    ]
    assert draw((1, 1, 1, 1))[0].opened_at == at("09:15")
