"""Frames that a page draws, and what its main thread works for them."""

import asyncio
import time
from itertools import pairwise

from playwright.async_api import CDPSession, Page

COUNT_FRAMES = """() => {
  window.framesDrawn = [];
  const next = (at) => { window.framesDrawn.push(at); requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""
"""Keeps the moment of each frame. One that is not drawn in time has none: the display shows the
last one again, for 33 ms and not for 17."""


async def measure(page: Page, seconds: float) -> dict[str, float]:
    """Frames a second, the longest of them, and the share of a core that the page's main thread
    works."""
    measuring = await page.context.new_cdp_session(page)
    await measuring.send("Performance.enable", {"timeDomain": "threadTicks"})
    await page.evaluate(COUNT_FRAMES)
    before, began = await _busy(measuring), time.monotonic()
    await asyncio.sleep(seconds)
    busy, taken = await _busy(measuring) - before, time.monotonic() - began
    at: list[float] = await page.evaluate("window.framesDrawn")
    frames = (len(at) - 1) / (at[-1] - at[0]) * 1000
    return {
        "frames": round(frames, 1),  # their moments are told to a tenth of a millisecond
        "longest frame": max(after - before for before, after in pairwise(at)),
        "main thread": busy / taken * 100,
    }


async def _busy(measuring: CDPSession) -> float:
    """Seconds of processor that the page's main thread has worked so far."""
    metrics = (await measuring.send("Performance.getMetrics"))["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))
