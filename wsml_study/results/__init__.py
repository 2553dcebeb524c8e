"""What trials showed: ranking, statistics, confirmation, comparison, export."""
