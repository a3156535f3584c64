"""Customers of the demonstration shop: `python -m worker.customers --rate 3` sends what they cause.

It knows Celery alone, as any application does: chains, groups, chords, countdowns, revokes.
"""

import argparse
import math
import random
import signal
import time
from collections import deque
from datetime import date
from itertools import count

from celery import chain, chord, group

from worker import shop

DAY_SECONDS = 1_200
"""The shop's day, from calm to busy and back: short enough to see it on a chart of an hour."""
SWING = 0.5
"""How much busier and calmer than usual it gets."""
RARELY = {"report": 150.0, "import": 200.0, "campaign": 420.0}
"""Seconds between two of what is caused by the clock."""
REMINDERS = 200
"""Reminders that are remembered, to revoke some: who buys after all is not reminded."""

FIRST = ("ana", "ben", "chika", "dara", "emil", "farah", "goro", "hana", "ines", "jun")
DOMAINS = ("example.com", "example.org", "example.net")
SUPPLIERS = ("northwind", "acme", "globex", "initech")
PARTNERS = ("crm", "erp", "legacy", "analytics")
REGIONS = ("emea", "apac", "amer", "japan", "nordics")


class Customers:
    """What they do, one after the other; `act` takes the next of it."""

    def __init__(self) -> None:
        self._orders = count(100_000 + int(time.time()) % 900_000)
        self._reminders: deque[str] = deque(maxlen=REMINDERS)
        self._due = {what: time.monotonic() + after / 4 for what, after in RARELY.items()}

    def act(self) -> None:
        """Somebody buys, uploads, leaves, or nothing but the clock moves on."""
        random.choices((self._buy, self._tell, self._upload, self._leave), (6, 3, 2, 1))[0]()
        rare = {"report": self._report, "import": self._import, "campaign": self._campaign}
        for what, act in rare.items():
            if time.monotonic() >= self._due[what]:
                self._due[what] = time.monotonic() + RARELY[what]
                act()

    def _buy(self) -> None:
        order, who = next(self._orders), random.choice(FIRST)
        mail = f"{who}@{random.choice(DOMAINS)}"
        items = [
            {"sku": f"SKU-{random.randrange(900):03}", "quantity": 1, "in_stock": _stock()}
            for _ in range(random.randint(1, 4))
        ]
        amount = f"{random.lognormvariate(3.5, 0.8):.2f}"
        chain(
            shop.place_order.si(order, {"name": who.title(), "email": mail}, items),
            shop.charge.si(order, amount=amount, currency=random.choice(("EUR", "JPY", "USD"))),
            group(
                shop.reserve_stock.si(order, [item["sku"] for item in items]),
                shop.send_receipt.si(order, to=mail),
            ),
        ).apply_async()
        if self._reminders and random.random() < 0.2:
            shop.app.control.revoke(self._reminders.popleft())

    def _tell(self) -> None:
        partner, event = random.choice(PARTNERS), random.choice(("order.paid", "order.sent"))
        payload = {"order": next(self._orders), "lines": random.randint(1, 9), "test": False}
        shop.deliver_webhook.delay(f"https://{partner}.example.com/hooks", event, payload)

    def _upload(self) -> None:
        path = f"/media/{random.getrandbits(32):08x}.jpg"
        shop.resize_image.apply_async((path, [320, 640, 1280]), priority=random.choice((0, 0, 6)))

    def _leave(self) -> None:
        who = random.choice(FIRST)
        sent = shop.remind.apply_async(
            (random.randrange(10_000), f"{who}@{random.choice(DOMAINS)}"),
            countdown=random.uniform(30, 300),
        )
        self._reminders.append(sent.id)

    def _report(self) -> None:
        day = date.today().isoformat()
        regions = [shop.sum_region.s(region, day) for region in REGIONS]
        chord(regions, shop.daily_sales.s(day=day)).apply_async()

    def _import(self) -> None:
        supplier = random.choice(SUPPLIERS)
        url = f"https://{supplier}.example.com/prices.csv"
        shop.import_prices.delay(supplier, url, rows=random.randrange(20_000, 120_000))

    def _campaign(self) -> None:
        """Many at once: a queue that grows for a while."""
        for number in range(150):
            shop.remind.delay(number, f"{random.choice(FIRST)}{number}@{random.choice(DOMAINS)}")


def _stock() -> int:
    return 0 if random.random() < 0.004 else random.randrange(1, 80)


def run(rate: float) -> None:
    """So many acts a second on average, more or fewer by the time of the shop's day, until told
    to stop."""
    told: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda which, _: told.append(which))
    customers = Customers()
    while not told:
        customers.act()
        busy = rate * (1 + SWING * math.sin(2 * math.pi * time.time() / DAY_SECONDS))
        time.sleep(min(5.0, random.expovariate(busy)))


def main() -> None:
    """Keeps the shop busy."""
    parser = argparse.ArgumentParser(prog="python -m worker.customers", description=__doc__)
    parser.add_argument("--rate", type=float, default=3.0, help="acts a second, on average")
    run(parser.parse_args().rate)


if __name__ == "__main__":
    main()
