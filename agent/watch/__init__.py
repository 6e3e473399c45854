"""Files on disk to records: watches folders in which other programs leave their data.

`part` is what the daemon runs, `watcher` the loop, `command` what a person tries first. Nothing is imported here: the
command line shall not load the capture.
"""
