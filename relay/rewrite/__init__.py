"""The rewrite: what the rows of an export mean, as compliant files, one for each segment, and a report."""
