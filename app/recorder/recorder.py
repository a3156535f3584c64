"""The recorder: five steps in a row, and what keeps them fed.

    receive ▶ translate ▶ believe ▶ keep ▶ announce

One recorder is active for each feed; the others stand by and take over within 5 s.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator

import structlog

from app.broker.subscription import Subscription
from app.broker.transport import Transport
from app.domain.errors import BrokerUnavailable, FeedUnavailable, StoreUnavailable
from app.feed.lease import RENEW_SECONDS, Lease
from app.feed.status import encode_status, last_heard, write_status
from app.feed.stream import connect_feed, feed_errors
from app.feed.writer import Feed
from app.recorder.announce import Announcer
from app.recorder.believe import Beliefs
from app.recorder.figures import Figures, news
from app.recorder.fleet import Fleet
from app.recorder.keep import Keeper, LeaseLost
from app.recorder.look import Lookout
from app.recorder.pipeline import Pipeline
from app.recorder.receive import Backlog, receive
from app.recorder.watch import watch
from app.store import queues, workers
from app.store.blind_windows import BlindWindow
from app.store.database import Database
from app.store.retention import prune

RECONNECT_SECONDS = 0.1
"""Workers send what they kept back at once when Redis is there again: we have to be there first."""
QUIET_SECONDS = 10.0
"""The subscription notices a dead peer within this, so before it we certainly heard."""
LOOK_AGAIN_SECONDS = 2.0
"""After a look around that failed half way."""
STATUS_SECONDS = 1.0
PRUNE_SECONDS = 60.0
PRUNE_ROWS = 500
"""Of one transaction: short enough that a tick never waits for it noticeably."""
DRAIN_SECONDS = 2.0
"""For the last events and their announcement when told to stop."""

log = structlog.get_logger()
