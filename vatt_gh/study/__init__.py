"""Many small runs, one table: does harmonization help, and where."""
