"""Files of a study: event log, history, storage, lease, study and model folders, Arrow tables."""
