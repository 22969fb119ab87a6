"""Measurements at scale: real host processes over embedded servers in a folder of their own. `shoal bench` runs them."""
