"""A text as a carrier transports it: in which alphabet, in how many parts, as which octets."""
