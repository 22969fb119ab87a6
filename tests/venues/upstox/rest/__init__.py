"""Every REST operation of the venue, by the vendor's own grouping."""

from tests.venues.upstox.rest import charges, gtt, login, market, orders, portfolio, quotes, streams, user

ROUTES = (
    *login.ROUTES,
    *user.ROUTES,
    *market.ROUTES,
    *quotes.ROUTES,
    *orders.ROUTES,
    *gtt.ROUTES,
    *portfolio.ROUTES,
    *charges.ROUTES,
    *streams.ROUTES,
)

__all__ = ["ROUTES"]
