"""A shop that is always busy: the application that `umbel demo --stream` watches.

Its tasks take their time, report progress, fail and are tried again as such tasks do elsewhere, and
leave nothing behind. Every tenth minute its payment provider is in trouble, so that there is
something to find. `worker.customers` keeps it busy.
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

from celery import Celery, Task
from celery.exceptions import ImproperlyConfigured

import umbel_worker
from worker import settings

app = Celery("shop")
try:
    app.conf.update(settings.configuration(settings.read(os.environ)))
except ImproperlyConfigured as error:
    sys.exit(str(error))
QUEUES = ("orders", "payments", "mail", "webhooks", "media", "reports", "imports")
app.conf.task_routes = {f"shop.{queue}.*": {"queue": queue} for queue in QUEUES}
umbel_worker.install(app, keep_messages=True, bound_shutdown=True)

TROUBLE_EVERY, TROUBLE_SECONDS = 600, 60
"""Seconds: how often the payment provider is in trouble, and for how long."""
STEP = 0.5
"""Seconds between two reports of progress."""


class PaymentTimeout(Exception):
    """The payment provider did not answer in time: worth another try."""


class CardDeclined(Exception):
    """The bank said no: not worth another try."""


class MailRefused(Exception):
    """The mail server does not take this mail."""


class EndpointDown(Exception):
    """A customer's webhook answers with an error: worth another try."""


@app.task(name="shop.orders.place")
def place_order(order_id: int, customer: dict[str, Any], items: list[dict[str, Any]]) -> int:
    """Check an order and number it."""
    _takes(0.08)
    for item in items:
        if item["quantity"] > item["in_stock"]:
            raise ValueError(f"only {item['in_stock']} of {item['sku']} are left")
    return order_id


@app.task(
    name="shop.payments.charge",
    bind=True,
    autoretry_for=(PaymentTimeout,),
    retry_backoff=2,
    retry_jitter=True,
    max_retries=3,
)
def charge(self: "Task[Any, Any]", order_id: int, amount: str, currency: str) -> str:
    """Ask the payment provider for the money."""
    _takes(0.4)
    return _ask_provider(order_id, f"{amount} {currency}")


def _ask_provider(order_id: int, what: str) -> str:
    if in_trouble(time.time()) and random.random() < 0.6:
        raise PaymentTimeout(f"pay.example.com did not answer within 10 s (order {order_id})")
    if random.random() < 0.015:
        raise CardDeclined(f"insufficient funds for {what} (order {order_id})")
    return f"ch_{random.getrandbits(64):016x}"


def in_trouble(now: float) -> bool:
    """Whether the payment provider is in trouble at that moment, in seconds since the epoch."""
    return now % TROUBLE_EVERY > TROUBLE_EVERY - TROUBLE_SECONDS


@app.task(name="shop.orders.reserve_stock")
def reserve_stock(order_id: int, skus: list[str]) -> dict[str, int]:
    """Take what was bought out of the stock."""
    _takes(0.05)
    return {sku: random.randrange(1, 400) for sku in skus}


@app.task(name="shop.mail.send_receipt")
def send_receipt(order_id: int, to: str) -> None:
    """Thank the customer."""
    _takes(0.15)
    _deliver(to, f"Your order {order_id}")


@app.task(name="shop.mail.remind_of_basket")
def remind(customer_id: int, to: str) -> None:
    """Remind somebody who left without buying."""
    _takes(0.15)
    _deliver(to, "You left something behind")


def _deliver(to: str, subject: str) -> None:
    if random.random() < 0.01:
        raise MailRefused(f"550 5.1.1 {to}: user unknown ({subject!r})")


@app.task(
    name="shop.webhooks.deliver",
    bind=True,
    autoretry_for=(EndpointDown,),
    retry_backoff=3,
    max_retries=3,
)
def deliver_webhook(
    self: "Task[Any, Any]", url: str, event: str, payload: dict[str, Any]
) -> dict[str, int]:
    """Tell a partner what has happened."""
    _takes(0.2)
    if "legacy" in url or random.random() < 0.02:
        raise EndpointDown(f"503 Service Unavailable from {url} for {event}")
    return {"status": 200}


@app.task(name="shop.media.resize_image")
def resize_image(path: str, widths: list[int]) -> list[str]:
    """Make an image in several sizes."""
    _takes(0.3 * len(widths))
    if random.random() < 0.01:
        raise OSError(f"cannot identify image file {path!r}")
    return [f"{path}@{width}.webp" for width in widths]


@app.task(name="shop.reports.sum_region", bind=True)
def sum_region(self: "Task[Any, Any]", region: str, day: str) -> dict[str, Any]:
    """Add up one region's sales."""
    for _ in _steps(self, random.uniform(2, 8), f"sales of {region}"):
        pass
    return {"region": region, "day": day, "total": round(random.uniform(1e3, 9e5), 2)}


@app.task(name="shop.reports.daily_sales")
def daily_sales(regions: list[dict[str, Any]], day: str) -> dict[str, Any]:
    """Put the regions' sums together."""
    _takes(0.5)
    return {"day": day, "regions": len(regions), "total": sum(each["total"] for each in regions)}


@app.task(name="shop.imports.supplier_prices", bind=True)
def import_prices(self: "Task[Any, Any]", supplier: str, url: str, rows: int) -> dict[str, int]:
    """Read a supplier's price list."""
    broken = random.random() < 0.15
    for done in _steps(self, rows / 2_000, f"rows of {supplier}"):
        if broken and done > 0.6:
            raise ValueError(f"could not convert string to float: 'n/a' (row {int(rows * done):,})")
    return {"rows": rows}


def _takes(usual: float) -> None:
    """Mostly about as long as usual, and sometimes much longer, as such things do."""
    time.sleep(usual * random.lognormvariate(0.0, 0.6))


def _steps(task: "Task[Any, Any]", seconds: float, message: str) -> Iterator[float]:
    """The share that is done, reported on the way."""
    count = max(1, round(seconds / STEP))
    for number in range(1, count + 1):
        time.sleep(STEP)
        meta = {"current": number, "total": count, "message": message}
        task.update_state(state="PROGRESS", meta=meta)
        yield number / count
