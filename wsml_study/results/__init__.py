"""Analysis of recorded studies: ranking, statistics, confirmation, comparison, export."""
