"""SMPP 3.4 on the wire: octets to values and back, and nothing that waits, connects or decides."""
