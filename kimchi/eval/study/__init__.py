"""A study with people: drawn, made, locked, served, watched, analysed and, in the end, destroyed. A module a command, and the organs they share."""
