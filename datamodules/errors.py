"""The error of a user's making. Part of the contract, like clips: data, models and the benchmark all raise it."""


class UserError(ValueError):
    """What a user asked for cannot be done: a wrong value, a missing file, data that do not fit the model.

    The message says the rule, the value and the way out, in one line. The command line prints it and ends with code 2;
    every other exception is a fault of the code and ends with a traceback. Modules that their callers must tell apart
    raise a subclass (`VideoError`, `OffGridError`).
    """


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that was named is not there."""


def user_error_in(error: BaseException) -> UserError | None:
    """The `UserError` that another error was raised from, at whatever remove; None if there is none.

    The parser that builds objects from configurations wraps what constructors raise in errors of its own.
    """
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, UserError):
        seen = seen.__cause__ or seen.__context__
    return seen
