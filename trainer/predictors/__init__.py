"""Models in memory: loaded once per checkpoint, shared by all who predict with them, fed in batches.

A call goes through three rooms: its image is decoded and prepared in a worker thread, waits in the queue of its
model, and is answered in a batch of what waited there while the batch before was computed.
"""

from trainer.predictors.pool import PoolLimits, PredictorPool
from trainer.predictors.records import Answer, CheckpointSource, LoadedPredictor

__all__ = ["Answer", "CheckpointSource", "LoadedPredictor", "PoolLimits", "PredictorPool"]
