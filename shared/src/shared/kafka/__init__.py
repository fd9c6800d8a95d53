"""Kafka as every service uses it: batches from poll to produce, at least once, offsets committed after the effects."""
