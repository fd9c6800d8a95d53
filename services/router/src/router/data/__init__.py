"""Tables that come with the service."""
