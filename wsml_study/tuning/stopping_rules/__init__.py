"""Rules that end trials before their last epoch: a module per rule, each with its `RECORDS`."""
