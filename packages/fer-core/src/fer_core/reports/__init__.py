"""Reports: what run folders hold, compared under one protocol and shown in one file."""

from fer_core.runs.reading import Collection, RunRecord, collect, read_run

__all__ = ["Collection", "RunRecord", "collect", "read_run"]
