"""Errors in what a user asked for. Part of the contract, like clips: data, models and the benchmark raise them."""


class UserError(ValueError):
    """What a user asked for cannot be done: a wrong value, a missing file, data that do not fit the model.

    The message states the rule, the value and the way out, in one line. The command line prints it and exits with code
    2; any other exception is a bug and exits with a traceback. Errors that callers must tell apart are subclasses
    (`VideoError`, `OffGridError`).
    """


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that the user named does not exist."""


def user_error_in(error: BaseException) -> UserError | None:
    """The `UserError` that caused another error, directly or through others; None if there is none.

    The parser that builds objects from configurations wraps what constructors raise in errors of its own.
    """
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, UserError):
        seen = seen.__cause__ or seen.__context__
    return seen
