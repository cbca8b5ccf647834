"""Knowing when a run is good: held-out loss, progress pictures, speed, the page one watches, trackers, and when to stop.

Nothing here changes what is learned, except through the one decision that held-out loss may make: which weights are kept, and when to stop.
"""
