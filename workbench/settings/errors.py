"""What a user can mend."""


class UserError(Exception):
    """Something a user can mend; the message is one line that names file, line, utterance or
    setting.
    """
