"""The demo: the real relay between a played Amperity and a stand-in for Attentive, all on loopback."""
