"""Short links: their codes, and how a text gets the recipient's own. Writers (segmenter) and readers (ingest) share it."""
