"""The report as one page: what was converted and measured, in words, tables and plots."""
