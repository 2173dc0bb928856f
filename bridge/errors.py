"""Errors a user can act on: each says what is wrong, where, and how to fix it."""

from __future__ import annotations

from pathlib import Path


class SpikebridgeError(Exception):
    """Base of every error raised on purpose; `exit_code` is what the command line returns for it."""

    exit_code = 1


class ConfigError(SpikebridgeError):
    """A configuration has an unknown key, a wrong type or a value out of range."""

    exit_code = 2


class DataError(SpikebridgeError):
    """A data file is missing, damaged or not what it says. Names file, sample and field."""

    exit_code = 3

    def __init__(self, message: str, *, path: Path | str, sample: int | None = None, field: str | None = None) -> None:
        where = str(path)
        if field is not None:
            where += f", field {field!r}"
        if sample is not None:
            where += f", sample {sample}"
        super().__init__(f"{where}: {message}")
        self.path = Path(path)
        self.sample = sample
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        """For a pickle: errors travel from worker processes, and `args` alone do not make another."""
        return _data_error, (self.args[0], self.path, self.sample, self.field), self.__dict__


class SpecError(SpikebridgeError):
    """A network, recording or grid is inconsistent, or asks for what cannot be carried over."""

    exit_code = 4


class ParityError(SpikebridgeError):
    """Two executors that must agree do not."""

    exit_code = 5


class DivergedError(SpikebridgeError):
    """A training cannot go on: its loss or gradient became NaN or infinite."""


class WorkerError(SpikebridgeError):
    """A process that simulates ended before it was done; what it was doing can be tried again."""


def _data_error(text: str, path: Path, sample: int | None, field: str | None) -> DataError:
    error = DataError("", path=path, sample=sample, field=field)
    error.args = (text,)
    return error
