"""Data: deliveries read in place, tables and files written whole, and the sample world that stands in for photographs."""
