"""What goes wrong on one machine, told in one sentence that ends with the remedy."""


class LocalStackError(Exception):
    """The stack cannot start or go on; the message is one sentence for a person, with what to do."""
