"""The one exception that means: the user can fix this."""


class UserError(ValueError):
    """A mistake in what the user gave us (file, key, topic, camera, weights).

    Its message is one line that names the thing, what was expected, what was found, and the fix.
    The command line prints it without a traceback; nodes log it and refuse the transition.
    """
