"""What storage.database raises. Services translate these; none of them knows gRPC."""

from __future__ import annotations


class DatabaseError(Exception):
    """Root of the errors of this package."""


class DatabaseUnavailable(DatabaseError):
    """The database cannot be opened or reached: a wrong URL, a missing folder, a server that is away."""


class SchemaMismatch(DatabaseError):
    """The tables are of another version of this software."""


class DatabaseLocked(DatabaseError):
    """Another gateway works on the database."""


class InvalidPageToken(DatabaseError, ValueError):
    """A page token that this listing did not give, or gave for other filters."""


class NameTaken(DatabaseError):
    """A user of that name exists."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a user named {name!r} exists")
        self.name = name


class UserMissing(DatabaseError):
    """There is no user of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no user named {name!r}")
        self.name = name


class FileExists(DatabaseError):
    """The dataset already holds a file of that path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the dataset already holds {path!r}")
        self.path = path


class StateChanged(DatabaseError):
    """The record is in a state that does not allow the change; ``state`` is empty when the record is gone."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the state is {state}" if state else "the record is gone")
        self.state = state


class JobMissing(DatabaseError):
    """Events were meant for a job that does not exist (any more)."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}")
        self.job_id = job_id


class SequenceGap(DatabaseError):
    """A source skipped numbers: what lies between would be lost, so nothing of the batch is kept."""

    def __init__(self, run_id: str, source: str, expected: int, found: int) -> None:
        super().__init__(f"run {run_id}, source {source}: expected sequence {expected}, found {found}")
        self.run_id = run_id
        self.source = source
        self.expected = expected
        self.found = found


class RequestExists(DatabaseError):
    """The request_id was recorded in the meantime; ask ``find`` again."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"request {request_id!r} is already recorded")
        self.request_id = request_id
