"""How carriers deviate from plain SMPP: one file a family, holding only what differs."""
