"""Measure a world model: are its frames right (`open_loop`), does it obey (`control`), how fast is it (`speed`).

Every figure is a `report.Row` with its n and a bootstrap interval; `report.Report` is the JSON that they travel in.
"""
