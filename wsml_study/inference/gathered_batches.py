"""Batches of what concurrent requests bring: while one batch is computed, the next one gathers.

Nothing waits for a batch to fill up: alone, an image is computed at once.

Shapes: B images, c channels, S x S pixels, C classes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from wsml_study.data.decoded_rows import Images

Floats = npt.NDArray[np.float64]


class GatheredBatches:
    """Computes the rows of images that are given one by one, in one thread; for one event loop.

    Attributes:
        num_batches: computed so far.
    """

    def __init__(self, compute: Callable[[Images], Floats], *, most: int) -> None:
        """Nothing runs yet.

        Args:
            compute: images (B, c, S, S) to rows (B, C).
            most: images of a batch.
        """
        self._compute, self._most = compute, most
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._waiting: deque[tuple[Images, asyncio.Future[Floats]]] = deque()
        self._work: asyncio.Task[None] | None = None
        self.num_batches = 0

    async def row(self, image_cSS: Images) -> Floats:
        """The row (C,) of one image.

        Raises:
            Exception: whatever `compute` raises for its batch.
        """
        future: asyncio.Future[Floats] = asyncio.get_running_loop().create_future()
        self._waiting.append((image_cSS, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._compute_waiting())
        return await future

    async def _compute_waiting(self) -> None:
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            batch = [(image, future) for image, future in taken if not future.done()]  # others gave up
            if batch:
                await self._compute_batch(batch)

    async def _compute_batch(self, batch: list[tuple[Images, asyncio.Future[Floats]]]) -> None:
        images_BcSS = np.stack([image for image, _ in batch])
        self.num_batches += 1
        try:
            rows_BC = await asyncio.get_running_loop().run_in_executor(self._thread, self._compute, images_BcSS)
        except Exception as error:  # of the model: these requests fail, the next ones are tried
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), row_C in zip(batch, rows_BC, strict=True):
            if not future.done():
                future.set_result(row_C)
