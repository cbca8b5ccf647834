"""`kimchi score`: pictures by condition and prompt => scores.csv and results.json, by the metrics of kimchi/eval/metrics/."""
