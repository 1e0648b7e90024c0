"""Errors that a user can mend."""


class InputError(ValueError):
    """Bad input. The message names the file, what was found, what was expected and what to do."""
