"""The official SDK as the venue's referee: what it cannot call or read is a fault of the venue."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import upstox_client
from upstox_client.rest import ApiException

from tests.venues.customer import call_52000
from tests.venues.official_sdk import Sdk, place, place_request
from tests.venues.upstox import TokenKind, faults
from tests.venues.upstox.ledger import Happened

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the SDK's sockets, see `Listener`

BANKNIFTY = "NSE_INDEX|Nifty Bank"
EXPIRY = "2026-11-24"


async def test_an_order_is_placed_found_and_filled(sdk: Sdk) -> None:
    (order_id,) = await place(sdk)

    details = await sdk.call("OrderApi", "get_order_status", order_id=order_id)
    assert (details.data.status, details.data.filled_quantity, details.data.pending_quantity) == ("complete", 30, 0)
    book = await sdk.call("OrderApi", "get_order_book", "2.0")
    assert [row.order_id for row in book.data] == [order_id]
    assert details.data.tag == "referee"
    (fill,) = sdk.venue.ledger.entries(Happened.FILLED)
    for method, arguments in (("get_trade_history", ("2.0",)), ("get_trades_by_order", (order_id, "2.0"))):
        (trade,) = (await sdk.call("OrderApi", method, *arguments)).data
        assert (trade.trade_id, trade.quantity, trade.average_price) == (fill.trade_id, 30, float(fill.price or 0))


async def test_history_by_tag_has_every_state(sdk: Sdk) -> None:
    (order_id,) = await place(sdk, order_type="LIMIT", price=1.0)
    await sdk.call("OrderApiV3", "cancel_order", order_id)

    history = await sdk.call("OrderApi", "get_order_details", "2.0", tag="referee")

    assert [row.status for row in history.data] == [
        "put order req received",
        "validation pending",
        "open pending",
        "open",
        "cancel pending",
        "cancelled",
    ]


async def test_an_order_is_modified_and_cancelled(sdk: Sdk) -> None:
    (order_id,) = await place(sdk, order_type="LIMIT", price=1.0)

    change = upstox_client.ModifyOrderRequest(
        quantity=60, validity="DAY", price=2.0, order_id=order_id, order_type="LIMIT", disclosed_quantity=0, trigger_price=0.0
    )
    assert (await sdk.call("OrderApiV3", "modify_order", change)).data.order_id == order_id
    row = (await sdk.call("OrderApi", "get_order_status", order_id=order_id)).data
    assert (row.quantity, row.price, row.status) == (60, 2.0, "open")
    assert (await sdk.call("OrderApiV3", "cancel_order", order_id)).data.order_id == order_id
    assert (await sdk.call("OrderApi", "get_order_status", order_id=order_id)).data.status == "cancelled"


async def test_a_large_order_comes_back_as_several_ids(sdk: Sdk) -> None:
    assert len(await place(sdk, quantity=1230, slice=True, order_type="LIMIT", price=1.0)) == 3


async def test_the_older_order_calls_work_too(sdk: Sdk) -> None:
    request = upstox_client.PlaceOrderRequest(
        quantity=30,
        product="D",
        validity="DAY",
        price=1.0,
        tag="v2",
        instrument_token=call_52000(sdk.venue),
        order_type="LIMIT",
        transaction_type="BUY",
        disclosed_quantity=0,
        trigger_price=0.0,
        is_amo=False,
    )
    order_id = (await sdk.call("OrderApi", "place_order", request, "2.0")).data.order_id
    assert (await sdk.call("OrderApi", "cancel_order", order_id, "2.0")).data.order_id == order_id


async def test_many_orders_at_once_and_one_of_them_wrong(sdk: Sdk) -> None:
    fields = place_request(sdk, order_type="LIMIT", price=1.0).to_dict()
    good = upstox_client.MultiOrderRequest(**fields, correlation_id="1")
    bad = upstox_client.MultiOrderRequest(**(fields | {"instrument_token": "NSE_FO|1"}), correlation_id="2")

    response = await sdk.call("OrderApi", "place_multi_order", [good, bad])

    assert response.status == "partial_success"
    assert [row.correlation_id for row in response.data] == ["1"]
    assert [(row.correlation_id, row.error_code) for row in response.errors] == [("2", "UDAPI100011")]
    assert (response.summary.total, response.summary.success, response.summary.payload_error) == (2, 1, 1)
    cancelled = await sdk.call("OrderApi", "cancel_multi_order", tag="referee")
    assert (cancelled.data.order_ids, cancelled.summary.success) == ([response.data[0].order_id], 1)


async def test_positions_funds_and_the_exit_of_everything(sdk: Sdk) -> None:
    await place(sdk)
    (position,) = (await sdk.call("PortfolioApi", "get_positions", "2.0")).data
    equity = (await sdk.call("UserApi", "get_user_fund_margin", "2.0")).data["equity"]
    assert (position.quantity, position.product, position.instrument_token) == (30, "I", call_52000(sdk.venue))
    assert equity.used_margin == pytest.approx(30 * position.average_price)
    v3 = await sdk.call("UserApi", "get_user_fund_margin_v3")
    assert v3.data.available_to_trade.total == pytest.approx(1_000_000 - equity.used_margin)

    exits = await sdk.call("OrderApi", "exit_positions")

    assert (exits.status, exits.summary.success) == ("success", 1)
    (position,) = (await sdk.call("PortfolioApi", "get_positions", "2.0")).data
    assert position.quantity == 0
    assert (await sdk.call("PortfolioApi", "get_holdings", "2.0")).data == []


async def test_a_gtt_bracket_lives_from_entry_to_exit(sdk: Sdk) -> None:
    rules = [
        upstox_client.GttRule(strategy="ENTRY", trigger_type="IMMEDIATE", trigger_price=400.0),
        upstox_client.GttRule(strategy="TARGET", trigger_type="IMMEDIATE", trigger_price=5000.0),
        upstox_client.GttRule(strategy="STOPLOSS", trigger_type="IMMEDIATE", trigger_price=350.0),
    ]
    request = upstox_client.GttPlaceOrderRequest(
        type="MULTIPLE", quantity=30, product="I", rules=rules, instrument_token=call_52000(sdk.venue), transaction_type="BUY"
    )
    (gtt_id,) = (await sdk.call("OrderApiV3", "place_gtt_order", request)).data.gtt_order_ids

    async def states() -> dict[str, str]:
        (details,) = (await sdk.call("OrderApiV3", "get_gtt_order_details", gtt_order_id=gtt_id)).data
        return {rule.strategy: rule.status for rule in details.rules}

    assert await states() == {"ENTRY": "COMPLETED", "TARGET": "SCHEDULED", "STOPLOSS": "SCHEDULED"}
    change = upstox_client.GttModifyOrderRequest(
        type="MULTIPLE", quantity=30, gtt_order_id=gtt_id, rules=[*rules[:2], upstox_client.GttRule("STOPLOSS", "IMMEDIATE", 360.0)]
    )
    assert (await sdk.call("OrderApiV3", "modify_gtt_order", change)).data.gtt_order_ids == [gtt_id]
    while (await states())["STOPLOSS"] != "COMPLETED":
        await sdk.venue.advance(30)
    assert (await states())["TARGET"] == "CANCELLED"
    assert sdk.venue.ledger.net("U1") == {}
    cancel = upstox_client.GttCancelOrderRequest(gtt_order_id=gtt_id)
    assert (await sdk.call("OrderApiV3", "cancel_gtt_order", cancel)).data.gtt_order_ids == [gtt_id]


async def test_option_contracts_and_chain_agree(sdk: Sdk) -> None:
    contracts = (await sdk.call("OptionsApi", "get_option_contracts", BANKNIFTY, expiry_date=EXPIRY)).data
    chain = (await sdk.call("OptionsApi", "get_put_call_option_chain", BANKNIFTY, EXPIRY)).data

    listed = {row.instrument_key for row in contracts}
    assert {side.instrument_key for row in chain for side in (row.call_options, row.put_options)} == listed
    assert {(row.lot_size, row.freeze_quantity, row.tick_size) for row in contracts} == {(30, 600.0, 5.0)}
    assert {row.expiry for row in contracts} == {datetime.fromisoformat(EXPIRY)}
    at_the_money = min(chain, key=lambda row: abs(row.strike_price - row.underlying_spot_price))
    assert 0.4 < at_the_money.call_options.option_greeks.delta < 0.6
    market = at_the_money.call_options.market_data
    assert market.bid_price <= market.ltp <= market.ask_price


async def test_quotes_are_keyed_by_symbol_and_carry_the_instrument_key(sdk: Sdk) -> None:
    key = call_52000(sdk.venue)
    for method, named in (
        ("get_ltp", {}),
        ("get_market_quote_option_greek", {}),
        ("get_market_quote_ohlc", {"interval": "I1"}),
        ("get_full_market_quote_v3", {}),
    ):
        arguments = [named.pop("interval")] if "interval" in named else []
        quotes = (await sdk.call("MarketQuoteV3Api", method, *arguments, instrument_key=key)).data
        assert list(quotes) == ["NSE_FO:BANKNIFTY26NOV52000CE"]
        (quote,) = quotes.values()
        assert quote.instrument_token == key
        assert (
            quote.last_price
            == sdk.venue.core.market.quote(sdk.venue.core.listing.of("NSE:BANKNIFTY26NOV52000CE"), sdk.venue.clock.now).price
        )


async def test_candles_come_newest_first_and_today_only_from_the_intraday_call(sdk: Sdk) -> None:
    past = await sdk.call("HistoryV3Api", "get_historical_candle_data1", BANKNIFTY, "minutes", "1", "2026-11-20", "2026-11-19")
    today = await sdk.call("HistoryV3Api", "get_intra_day_candle_data", BANKNIFTY, "minutes", "1")

    times = [datetime.fromisoformat(row[0]) for row in past.data.candles]
    assert len(times) == 375
    assert times == sorted(times, reverse=True)
    assert {time.date().isoformat() for time in times} == {"2026-11-19"}
    assert [row[0] for row in today.data.candles] == [f"2026-11-20T09:{minute}:00+05:30" for minute in (19, 18, 17, 16, 15)]


async def test_larger_candles_are_made_of_the_smaller_ones(sdk: Sdk) -> None:
    async def rows(unit: str, interval: str) -> list[list[Any]]:
        answer = await sdk.call("HistoryV3Api", "get_historical_candle_data1", BANKNIFTY, unit, interval, "2026-11-19", "2026-11-19")
        return answer.data.candles[::-1]

    minutes, hours, (day,) = await rows("minutes", "1"), await rows("hours", "1"), await rows("days", "1")

    assert [row[0][11:16] for row in hours] == ["09:15", "10:15", "11:15", "12:15", "13:15", "14:15", "15:15"]
    assert hours[0][1:5] == [minutes[0][1], max(row[2] for row in minutes[:60]), min(row[3] for row in minutes[:60]), minutes[59][4]]
    assert day[:5] == [
        "2026-11-19T00:00:00+05:30",
        minutes[0][1],
        max(row[2] for row in minutes),
        min(row[3] for row in minutes),
        minutes[-1][4],
    ]


@pytest.mark.parametrize(
    ("unit", "interval", "start", "refused"),
    [
        ("minutes", "1", "2026-10-18", "UDAPI1148"),
        ("minutes", "1", "2026-10-20", None),
        ("minutes", "30", "2026-08-18", "UDAPI1148"),
        ("minutes", "30", "2026-08-20", None),
        ("days", "1", "2016-11-18", "UDAPI1148"),
        ("minutes", "301", "2026-11-18", "UDAPI1147"),
        ("hours", "6", "2026-11-18", "UDAPI1147"),
        ("years", "1", "2026-11-18", "UDAPI1146"),
        ("days", "1", "2026-11-21", "UDAPI1015"),
    ],
)
async def test_candles_have_documented_limits(sdk: Sdk, unit: str, interval: str, start: str, refused: str | None) -> None:
    asked = sdk.call("HistoryV3Api", "get_historical_candle_data1", BANKNIFTY, unit, interval, "2026-11-20", start)
    if refused is None:
        assert (await asked).data.candles
    else:
        with pytest.raises(ApiException) as failure:
            await asked
        assert (failure.value.status, json.loads(failure.value.body)["errors"][0]["errorCode"]) == (400, refused)


async def test_status_timings_and_holidays(sdk: Sdk) -> None:
    api = "MarketHolidaysAndTimingsApi"
    assert (await sdk.call(api, "get_market_status", "NSE")).data.status == "NORMAL_OPEN"
    timings = {row.exchange: row for row in (await sdk.call(api, "get_exchange_timings", "2026-11-20")).data}
    # 09:15 and 15:30 IST are 03:45 and 10:00 UTC.
    assert [datetime.fromtimestamp(time / 1000) for time in (timings["NSE"].start_time, timings["NSE"].end_time)] == [
        datetime.fromtimestamp(1795146300),
        datetime.fromtimestamp(1795168800),
    ]
    assert (await sdk.call(api, "get_exchange_timings", "2026-11-21")).data == []
    assert (await sdk.call(api, "get_holidays")).data == []


async def test_login_gives_a_token_that_works_and_logout_ends_it(sdk: Sdk) -> None:
    account = sdk.venue.core.accounts.by_id["U1"]
    response = await sdk.call(
        "LoginApi",
        "token",
        "2.0",
        code=account.login_code,
        client_id=account.client_id,
        client_secret=account.client_secret,
        redirect_uri="https://example.test/",
        grant_type="authorization_code",
    )
    assert response.access_token == sdk.venue.token("U1")
    assert response.extended_token == sdk.venue.token("U1", TokenKind.EXTENDED)
    assert (await sdk.call("UserApi", "get_profile", "2.0")).data.user_id == "U1"

    assert (await sdk.call("LoginApi", "logout", "2.0")).data is True

    with pytest.raises(ApiException) as failure:
        await sdk.call("UserApi", "get_profile", "2.0")
    assert failure.value.status == 401


async def test_a_login_by_phone_is_asked_for(sdk: Sdk) -> None:
    account = sdk.venue.core.accounts.by_id["U1"]
    request = upstox_client.IndieUserTokenRequest(client_secret=account.client_secret)
    response = await sdk.call("LoginApi", "init_token_request_for_indie_user", request, account.client_id)
    # 03:30 IST of the next morning is 22:00 UTC.
    assert datetime.fromtimestamp(int(response.data.authorization_expiry) / 1000, UTC) == datetime(2026, 11, 20, 22, tzinfo=UTC)


async def test_a_position_is_converted_to_another_product(sdk: Sdk) -> None:
    await place(sdk, quantity=60)
    request = upstox_client.ConvertPositionRequest(
        instrument_token=call_52000(sdk.venue), old_product="I", new_product="D", transaction_type="BUY", quantity=30
    )
    assert (await sdk.call("PortfolioApi", "convert_positions", request, "2.0")).data.status == "complete"
    positions = (await sdk.call("PortfolioApi", "get_positions", "2.0")).data
    assert {row.product: row.quantity for row in positions} == {"I": 30, "D": 30}
    assert (await sdk.call("PortfolioApi", "get_mtf_positions")).data == []


async def test_kill_switch_addresses_margin_and_brokerage(sdk: Sdk) -> None:
    change = [upstox_client.KillSwitchSegmentUpdateRequest(segment="NSE_FO", action="ENABLE")]
    switched = {row["segment"]: row["kill_switch_enabled"] for row in (await sdk.call("UserApi", "update_kill_switch", change)).data}
    assert [segment for segment, off in switched.items() if off] == ["NSE_FO"]
    (order_id,) = await place(sdk)
    assert (await sdk.call("OrderApi", "get_order_status", order_id=order_id)).data.status == "rejected"

    instrument = upstox_client.Instrument(
        instrument_key=call_52000(sdk.venue), quantity=30, product="I", transaction_type="BUY", price=400.0
    )
    margin = (await sdk.call("ChargeApi", "post_margin", upstox_client.MarginRequest(instruments=[instrument]))).data
    assert (margin.required_margin, margin.margins[0].net_buy_premium) == (12_000.0, 12_000.0)
    charges = await sdk.call("ChargeApi", "get_brokerage", call_52000(sdk.venue), 30, "I", "SELL", 400.0, "2.0")
    assert charges.data.charges.brokerage == 20.0

    request = upstox_client.UpdateUserIpRequest(primary_ip="203.0.113.7", secondary_ip=None)
    assert (await sdk.call("UserApi", "update_user_ip", request)).data.access_tokens_invalidated is True


async def test_the_instrument_file_lists_what_the_chain_lists(sdk: Sdk) -> None:
    async with httpx.AsyncClient() as http:
        rows = json.loads(gzip.decompress((await http.get(sdk.venue.urls.instruments)).content))
    contracts = (await sdk.call("OptionsApi", "get_option_contracts", BANKNIFTY)).data

    assert {row["instrument_key"] for row in rows if row["instrument_type"] in ("CE", "PE")} == {row.instrument_key for row in contracts}
    assert {row["instrument_key"] for row in rows if row["instrument_type"] == "INDEX"} == {BANKNIFTY}


async def test_refusals_arrive_as_the_sdk_reports_them(sdk: Sdk) -> None:
    sdk.venue.faults.add(faults.TooManyRequests(operation="place"))
    with pytest.raises(ApiException) as failure:
        await place(sdk)
    assert failure.value.status == 429
    problem = sdk.decode(json.loads(failure.value.body), "ApiGatewayErrorResponse").errors[0]
    assert problem.error_code == "UDAPI10005"
