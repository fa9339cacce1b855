"""Several recipes on one model and one data set, in one table."""
